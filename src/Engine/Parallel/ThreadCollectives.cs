using System.Runtime.InteropServices;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// One rank of a group of threads of one process, over memory that all of them see. A small sum takes one phase: every rank copies its
/// part to where the others can read it, all meet once, and each adds all parts. For a large sum each rank sums a share of the elements
/// and writes it into the tensors of all ranks (reduce-scatter and all-gather in one).
/// </summary>
internal sealed unsafe class ThreadCollectives : ICollectives
{
    // Two copies of the parts, used in turn: before a rank overwrites a copy, it has met all others after they read it.
    private const int Copies = 2;
    private const int SmallBytes = 64 << 10;

    private readonly GroupMemory _shared;
    private int _turn;
    private bool _disposed;

    private ThreadCollectives(GroupMemory shared, int rank) => (_shared, Rank) = (shared, rank);

    /// <inheritdoc/>
    public int Rank { get; }

    /// <inheritdoc/>
    public int WorldSize => _shared.Barrier.Size;

    /// <summary>Creates the ranks of a group, each for its own thread.</summary>
    /// <param name="size">Number of ranks.</param>
    public static IReadOnlyList<ThreadCollectives> Create(int size)
    {
        var shared = new GroupMemory(size);
        return [.. Enumerable.Range(0, size).Select(rank => new ThreadCollectives(shared, rank))];
    }

    /// <inheritdoc/>
    public Tensor AllReduce(Tensor tensor)
    {
        var (type, count) = Shape(tensor);
        if (count * type.Bytes() <= SmallBytes)
            SumSmall(tensor, tensor, type, count, adds: false);
        else
            SumLarge(tensor, type, count);
        return tensor;
    }

    /// <inheritdoc/>
    public void AddAllReduced(Tensor residual, Tensor part)
    {
        var (type, count) = Shape(part);
        if (count * type.Bytes() <= SmallBytes)
        {
            SumSmall(part, residual, type, count, adds: true);
            return;
        }

        SumLarge(part, type, count);
        residual.AddInPlace(part);
    }

    /// <inheritdoc/>
    public Tensor AllGather(Tensor tensor, int dimension) => Gather(tensor, dimension, wants: true)!;

    /// <inheritdoc/>
    public Tensor AllGatherRows(Tensor tensor, IReadOnlyList<int> rows)
    {
        var (width, bytes) = (tensor.size(1), tensor.size(1) * tensor.element_size());
        if (!tensor.is_contiguous() || tensor.size(0) != rows[Rank])
            throw new ArgumentException($"rank {Rank} has {tensor.size(0)} rows, not {rows[Rank]}, or they are not contiguous", nameof(tensor));
        return Shared(tensor, parts =>
        {
            var whole = empty([rows.Sum(), width], tensor.dtype);
            var target = (byte*)whole.DataPointer();
            for (var rank = 0; rank < parts.Length; rank++)
            {
                Buffer.MemoryCopy((void*)parts[rank], target, rows[rank] * bytes, rows[rank] * bytes);
                target += rows[rank] * bytes;
            }

            return whole;
        });
    }

    /// <inheritdoc/>
    public void AddReducedRows(Tensor residual, Tensor part, long firstRow)
    {
        var (type, count) = Shape(residual);
        if (Shape(part).Type != type)
            throw new NotSupportedException($"ranks add parts of the residual stream's type, {type}");
        Shared(part, parts =>
        {
            // Each rank adds only its own rows, of all parts.
            Span<nint> rows = stackalloc nint[parts.Length];
            for (var rank = 0; rank < parts.Length; rank++)
                rows[rank] = parts[rank] + (nint)(firstRow * part.size(1) * type.Bytes());
            RankSum.Run(type, rows, (nint)residual.DataPointer(), 0, count, adds: true);
            return true;
        });
    }

    /// <inheritdoc/>
    public TResult Share<T, TResult>(T own, Func<IReadOnlyList<T>, TResult> work)
        where T : class => _shared.Meeting.Share(Rank, own, work);

    /// <inheritdoc/>
    public Tensor? Gather(Tensor tensor, int dimension) => Gather(tensor, dimension, wants: Rank == 0);

    /// <inheritdoc/>
    public void Abort(Exception reason) => _shared.Barrier.Abort(reason);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
            _shared.Release();
        _disposed = true;
    }

    private void SumSmall(Tensor part, Tensor target, ScalarType type, long count, bool adds)
    {
        var bytes = count * type.Bytes();
        var slots = _shared.Slots(_turn);
        _turn = (_turn + 1) % Copies;
        Buffer.MemoryCopy(part.DataPointer(), (void*)slots[Rank], SmallBytes, bytes);
        _shared.Barrier.Wait(Rank);
        RankSum.Run(type, slots, (nint)target.DataPointer(), 0, count, adds);
    }

    private void SumLarge(Tensor tensor, ScalarType type, long count)
    {
        Shared(tensor, parts =>
        {
            var own = (nint)tensor.DataPointer();
            var (first, end) = (count * Rank / WorldSize, count * (Rank + 1) / WorldSize);
            RankSum.Run(type, parts, own, first, end - first, adds: false);
            var width = type.Bytes();
            foreach (var part in parts)
            {
                if (part != own)
                    Buffer.MemoryCopy((byte*)own + (first * width), (byte*)part + (first * width), (end - first) * width, (end - first) * width);
            }

            return own;
        });
    }

    private Tensor? Gather(Tensor tensor, int dimension, bool wants)
    {
        if (!tensor.is_contiguous())
            tensor = tensor.contiguous();
        return Shared(tensor, parts => wants ? Joined(tensor, dimension, parts) : null);
    }

    private Tensor Joined(Tensor tensor, int dimension, ReadOnlySpan<nint> parts)
    {
        var shape = tensor.shape;
        var rows = dimension == 0 ? 1 : shape[0];
        shape[dimension] *= WorldSize;
        var whole = empty(shape, tensor.dtype);
        var rowBytes = tensor.numel() * tensor.element_size() / Math.Max(1, rows);
        var target = (byte*)whole.DataPointer();
        for (long row = 0; row < rows; row++)
        {
            foreach (var part in parts)
            {
                Buffer.MemoryCopy((byte*)part + (row * rowBytes), target, rowBytes, rowBytes);
                target += rowBytes;
            }
        }

        return whole;
    }

    // Shows a tensor to all ranks, and runs a function over the tensors of all ranks. The tensor stays alive until no rank uses it, even
    // if a rank fails.
    private T Shared<T>(Tensor tensor, Func<ReadOnlySpan<nint>, T> work)
    {
        var barrier = _shared.Barrier;
        var pointers = _shared.Pointers(_turn);
        _turn = (_turn + 1) % Copies;
        pointers[Rank] = (nint)tensor.DataPointer();
        var round = barrier.RoundOf(Rank) + 1;
        try
        {
            barrier.Wait(Rank);
            var result = work(pointers);
            barrier.Wait(Rank);
            return result;
        }
        catch (Exception failure)
        {
            barrier.Abort(failure);
            barrier.Leave(Rank, round);
            throw;
        }
        finally
        {
            // The tensor's memory was used by address.
            GC.KeepAlive(tensor);
        }
    }

    // Every query to libtorch costs as much as a hundred elements.
    private static (ScalarType Type, long Count) Shape(Tensor tensor)
    {
        var type = tensor.dtype;
        return RankSum.Takes(type) && tensor.is_contiguous()
            ? (type, tensor.numel())
            : throw new NotSupportedException($"ranks on threads sum contiguous float32 and bfloat16 of the host's memory, not {type}");
    }

    // The memory that the ranks of a group share; the last rank to leave frees it.
    private sealed class GroupMemory
    {
        private readonly nint[] _pointers;
        private readonly nint[] _slots;
        private int _members;

        public GroupMemory(int size)
        {
            (_pointers, _slots, _members) = (new nint[Copies * size], Allocate(size), size);
            Barrier = new(size);
            Meeting = new(Barrier);
        }

        public ThreadBarrier Barrier { get; }

        public RankMeeting Meeting { get; }

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
