using LocalLlm.Interop.Cuda;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Lets a card count as one with less memory: what is beyond is taken and left unused while any device of this process on that card lives,
/// so that nothing can use it unseen. The first one that asks decides how much. Thread-safe.
/// </summary>
internal sealed unsafe class MemoryCap : IDisposable
{
    /// <summary>The option's name in messages.</summary>
    public const string Option = "gpu_memory";

    private static readonly Lock Guard = new();
    private static readonly Dictionary<int, (ulong Pointer, long Bytes, int Users)> Taken = [];
    private readonly int _ordinal;

    private MemoryCap(int ordinal) => _ordinal = ordinal;

    /// <summary>Takes what is beyond; this thread's current context is the card's.</summary>
    /// <param name="ordinal">Which card.</param>
    /// <param name="bytes">What is left of its memory.</param>
    /// <param name="card">Its name, for messages.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: it has less. Kind Environment: others use what is to be taken.</exception>
    public static MemoryCap Take(int ordinal, long bytes, string card)
    {
        lock (Guard)
        {
            if (!Taken.TryGetValue(ordinal, out var taken))
                taken = Allocate(bytes, card);
            Taken[ordinal] = taken with { Users = taken.Users + 1 };
            return new(ordinal);
        }
    }

    /// <summary>Bytes of a card that are taken so.</summary>
    public static long TakenOf(int ordinal)
    {
        lock (Guard)
            return Taken.TryGetValue(ordinal, out var taken) ? taken.Bytes : 0;
    }

    /// <summary>What a card of so much memory counts as.</summary>
    /// <param name="cap">What was asked for; null: all.</param>
    /// <param name="total">Of the card.</param>
    /// <param name="card">Its name, for messages.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: it has less.</exception>
    public static long Of(long? cap, long total, string card) => cap is not { } bytes ? total : bytes <= total ? bytes
        : throw new EngineException(EngineErrorKind.InvalidOptions, $"{Option} is {bytes} bytes, but {card} has {total}; leave it out, or give less.", Option);

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (Guard)
        {
            var taken = Taken[_ordinal];
            if (taken.Users > 1)
            {
                Taken[_ordinal] = taken with { Users = taken.Users - 1 };
                return;
            }

            Taken.Remove(_ordinal);
            if (taken.Pointer != 0)
                _ = CudaDriver.cuMemFree_v2(taken.Pointer);
        }
    }

    private static (ulong Pointer, long Bytes, int Users) Allocate(long bytes, string card)
    {
        var (_, total) = CudaDevice.Memory();
        var beyond = total - Of(bytes, total, card);
        ulong pointer = 0;
        if (beyond > 0 && CudaDriver.cuMemAlloc_v2(&pointer, (nuint)beyond) != 0)
        {
            throw new EngineException(
                EngineErrorKind.Environment, $"{Option} is {bytes} bytes, but others use so much of {card} that the rest of its {total} cannot be set aside; end them, or leave it out.", Option);
        }

        return (pointer, beyond, 0);
    }
}
