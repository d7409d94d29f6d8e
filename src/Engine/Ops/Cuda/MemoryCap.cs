using LocalLlm.Interop.Cuda;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Makes a card count as one with less memory. Allocates the excess and leaves it unused while any device of this process on that card
/// lives, so nothing else can use it unnoticed. The first device decides how much. Thread-safe.
/// </summary>
internal sealed unsafe class MemoryCap : IDisposable
{
    /// <summary>The option's name in messages.</summary>
    public const string Option = "gpu_memory";

    private static readonly Lock Guard = new();
    private static readonly Dictionary<int, (ulong Pointer, long Bytes, int Users)> Taken = [];
    private readonly int _ordinal;

    private MemoryCap(int ordinal) => _ordinal = ordinal;

    /// <summary>Allocates the excess. The card's context must be current on this thread.</summary>
    /// <param name="ordinal">Ordinal of the card.</param>
    /// <param name="bytes">How much of its memory counts.</param>
    /// <param name="card">The card's name, for messages.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: the card has less. Kind Environment: others use the excess.</exception>
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

    /// <summary>Bytes of a card's excess that are allocated.</summary>
    public static long TakenOf(int ordinal)
    {
        lock (Guard)
            return Taken.TryGetValue(ordinal, out var taken) ? taken.Bytes : 0;
    }

    /// <summary>How much of a card's memory counts, in bytes.</summary>
    /// <param name="cap">The requested limit; null: all.</param>
    /// <param name="total">The card's memory.</param>
    /// <param name="card">The card's name, for messages.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: the card has less memory.</exception>
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
