using System.Runtime.InteropServices;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// One rank of a group of threads of one process, over memory that all of them see. A small sum is made in one phase: every rank copies its
/// part where the others can read it, all meet once, and each adds all parts. For a large one each rank sums a share of the elements and
/// writes it into the tensors of all (reduce-scatter and all-gather in one).
/// </summary>
internal sealed unsafe class ThreadCollectives : ICollectives
{
    // Two copies of the parts, used in turn: who writes one has met the others after they read it.
    private const int Copies = 2;
    private const int SmallBytes = 64 << 10;

    private readonly Shared _shared;
    private int _turn;

    private ThreadCollectives(Shared shared, int rank) => (_shared, Rank) = (shared, rank);

    /// <inheritdoc/>
    public int Rank { get; }

    /// <inheritdoc/>
    public int WorldSize => _shared.Barrier.Size;

    /// <summary>Creates the ranks of a group, each for a thread of its own.</summary>
    /// <param name="size">Number of ranks.</param>
    public static IReadOnlyList<ThreadCollectives> Create(int size)
    {
        var shared = new Shared(size);
        return [.. Enumerable.Range(0, size).Select(rank => new ThreadCollectives(shared, rank))];
    }

    /// <inheritdoc/>
    public Tensor AllReduce(Tensor tensor)
    {
        if (Bytes(tensor) <= SmallBytes)
            SumSmall(tensor, tensor, adds: false);
        else
            SumLarge(tensor);
        return tensor;
    }

    /// <inheritdoc/>
    public void AddAllReduced(Tensor residual, Tensor part)
    {
        if (Bytes(part) <= SmallBytes)
        {
            SumSmall(part, residual, adds: true);
            return;
        }

        SumLarge(part);
        residual.add_(part);
    }

    /// <inheritdoc/>
    public Tensor AllGather(Tensor tensor, int dimension) => Gather(tensor, dimension, wants: true)!;

    /// <inheritdoc/>
    public Tensor? Gather(Tensor tensor, int dimension) => Gather(tensor, dimension, wants: Rank == 0);

    /// <inheritdoc/>
    public void Abort(Exception reason) => _shared.Barrier.Abort(reason);

    /// <inheritdoc/>
    public void Dispose() => _shared.Release();

    private static long Bytes(Tensor tensor) => tensor.numel() * tensor.element_size();

    private void SumSmall(Tensor part, Tensor target, bool adds)
    {
        Require(part);
        Require(target);
        var bytes = Bytes(part);
        var slots = _shared.Slots(_turn);
        _turn = (_turn + 1) % Copies;
        Buffer.MemoryCopy(part.DataPointer(), (void*)slots[Rank], SmallBytes, bytes);
        _shared.Barrier.Wait(Rank);
        RankSum.Run(part.dtype, slots, (nint)target.DataPointer(), 0, part.numel(), adds);
    }

    private void SumLarge(Tensor tensor)
    {
        Require(tensor);
        var parts = Publish(tensor);
        var (count, size) = (tensor.numel(), (long)WorldSize);
        var (first, end) = (count * Rank / size, count * (Rank + 1) / size);
        RankSum.Run(tensor.dtype, parts, (nint)tensor.DataPointer(), first, end - first, adds: false);
        var width = tensor.element_size();
        foreach (var part in parts)
        {
            if (part != (nint)tensor.DataPointer())
                Buffer.MemoryCopy((byte*)tensor.DataPointer() + (first * width), (byte*)part + (first * width), (end - first) * width, (end - first) * width);
        }

        _shared.Barrier.Wait(Rank);
    }

    private Tensor? Gather(Tensor tensor, int dimension, bool wants)
    {
        if (!tensor.is_contiguous())
            tensor = tensor.contiguous();
        var parts = Publish(tensor);
        Tensor? whole = null;
        if (wants)
        {
            var shape = tensor.shape;
            var rows = dimension == 0 ? 1 : shape[0];
            shape[dimension] *= WorldSize;
            whole = empty(shape, tensor.dtype);
            var rowBytes = Bytes(tensor) / Math.Max(1, rows);
            var target = (byte*)whole.DataPointer();
            for (long row = 0; row < rows; row++)
            {
                foreach (var part in parts)
                {
                    Buffer.MemoryCopy((byte*)part + (row * rowBytes), target, rowBytes, rowBytes);
                    target += rowBytes;
                }
            }
        }

        _shared.Barrier.Wait(Rank);
        return whole;
    }

    // Addresses of all ranks' tensors, which stay until all have met again.
    private ReadOnlySpan<nint> Publish(Tensor tensor)
    {
        var pointers = _shared.Pointers(_turn);
        _turn = (_turn + 1) % Copies;
        pointers[Rank] = (nint)tensor.DataPointer();
        _shared.Barrier.Wait(Rank);
        return pointers;
    }

    private static void Require(Tensor tensor)
    {
        if (!RankSum.Takes(tensor.dtype) || !tensor.is_contiguous() || tensor.device_type != TorchSharp.DeviceType.CPU)
            throw new NotSupportedException($"ranks on threads sum contiguous float32 and bfloat16 of the host's memory, not {tensor.dtype} on {tensor.device}");
    }

    // What the ranks of a group share; the last that leaves frees it.
    private sealed class Shared(int size)
    {
        private readonly nint[] _pointers = new nint[Copies * size];
        private readonly nint[] _slots = Allocate(size);
        private int _members = size;

        public ThreadBarrier Barrier { get; } = new(size);

        public Span<nint> Pointers(int turn) => _pointers.AsSpan(turn * Barrier.Size, Barrier.Size);

        public ReadOnlySpan<nint> Slots(int turn) => _slots.AsSpan(turn * Barrier.Size, Barrier.Size);

        public void Release()
        {
            if (Interlocked.Decrement(ref _members) != 0)
                return;
            foreach (var slot in _slots)
                NativeMemory.AlignedFree((void*)slot);
        }

        private static nint[] Allocate(int size)
        {
            const int pageBytes = 4096;
            var slots = new nint[Copies * size];
            for (var i = 0; i < slots.Length; i++)
                slots[i] = (nint)NativeMemory.AlignedAlloc(SmallBytes, pageBytes);
            return slots;
        }
    }
}
