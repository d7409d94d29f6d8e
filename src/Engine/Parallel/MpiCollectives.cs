using LocalLlm.Interop;
using LocalLlm.Interop.Mpi;
using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// The ranks of one tensor-parallel group as processes that mpirun has started. Every rank adds parts itself, in rank order. For a small
/// tensor it gathers all parts; for a large one every rank adds a slice, and the sums are gathered.
/// </summary>
internal sealed unsafe class MpiCollectives : ICollectives
{
    // For larger tensors each rank receives less if it adds only its slice: 2 (n - 1)/n of the tensor instead of n - 1 tensors.
    private const int SmallBytes = 32 << 10;

    // MPI counts in 32 bits.
    private const int MaxBytes = 1 << 30;

    private readonly MpiWorld _world;
    private readonly nint _communicator;
    private readonly NativeBuffer<byte> _gathered = new();
    private readonly NativeBuffer<byte> _padded = new();
    private readonly nint[] _parts;
    private Exception? _aborted;

    /// <param name="world">All processes.</param>
    /// <param name="communicator">This group, from <see cref="MpiWorld.Split"/>.</param>
    /// <param name="rank">This process's rank in the group.</param>
    /// <param name="worldSize">Number of ranks in the group.</param>
    public MpiCollectives(MpiWorld world, nint communicator, int rank, int worldSize) =>
        (_world, _communicator, Rank, WorldSize, _parts) = (world, communicator, rank, worldSize, new nint[worldSize]);

    /// <inheritdoc/>
    public int Rank { get; }

    /// <inheritdoc/>
    public int WorldSize { get; }

    /// <inheritdoc/>
    public Tensor AllReduce(Tensor tensor)
    {
        if (!RankSum.Takes(tensor.dtype))
            throw new NotSupportedException($"ranks on a CPU sum float32 and bfloat16, not {tensor.dtype}");
        var sum = tensor.is_contiguous() ? tensor : tensor.contiguous();
        var elementSize = sum.element_size();
        var data = (byte*)sum.DataPointer();
        var left = sum.NumberOfElements;
        while (left > 0)
        {
            var count = Math.Min(left, MaxBytes / WorldSize / elementSize);
            if (count * elementSize <= SmallBytes)
                AddAll(data, count, elementSize, sum.dtype);
            else
                AddSlices(data, count, elementSize, sum.dtype);
            data += count * elementSize;
            left -= count;
        }

        return sum;
    }

    /// <inheritdoc/>
    public void AddAllReduced(Tensor residual, Tensor part)
    {
        var bytes = part.numel() * part.element_size();
        if (bytes > SmallBytes || !part.is_contiguous() || !residual.is_contiguous() || !RankSum.Takes(part.dtype))
        {
            residual.AddInPlace(AllReduce(part));
            return;
        }

        var parts = GatherParts(part.DataPointer(), (int)bytes);
        RankSum.Run(part.dtype, parts, (nint)residual.DataPointer(), 0, part.numel(), adds: true);
    }

    /// <inheritdoc/>
    public Tensor AllGather(Tensor tensor, int dimension)
    {
        var own = tensor.is_contiguous() ? tensor : tensor.contiguous();
        var bytes = own.NumberOfElements * own.element_size();
        if (bytes * WorldSize > MaxBytes)
            throw new NotSupportedException($"A tensor of {bytes} bytes of each of {WorldSize} ranks is too large to be gathered at once.");
        var all = empty([WorldSize, .. own.shape], own.dtype);
        Wait(_world.AllGather(own.DataPointer(), all.DataPointer(), (int)bytes, _communicator));
        if (dimension == 0)
            return all.reshape([WorldSize * own.shape[0], .. own.shape[1..]]);
        using var parts = new Rows(all, WorldSize);
        return cat(parts.Tensors, dimension);
    }

    /// <inheritdoc/>
    public void Abort(Exception reason) => Interlocked.CompareExchange(ref _aborted, reason, null);

    /// <inheritdoc/>
    public void Dispose()
    {
        // After an abort MPI may still write into the buffers until the process ends, so do not free them.
        if (Volatile.Read(ref _aborted) is not null)
            return;
        _gathered.Dispose();
        _padded.Dispose();
    }

    // Sends all parts to all ranks, in one round.
    private void AddAll(byte* data, long count, long elementSize, ScalarType type)
    {
        var parts = GatherParts(data, (int)(count * elementSize));
        RankSum.Run(type, parts, (nint)data, 0, count, adds: false);
    }

    private nint[] GatherParts(void* data, int bytes)
    {
        _gathered.Resize(bytes * WorldSize);
        Wait(_world.AllGather(data, _gathered.Pointer, bytes, _communicator));
        return Parts(_gathered.Pointer, bytes);
    }

    // Sends slice r of all parts to rank r, and its sum back to all ranks.
    private void AddSlices(byte* data, long count, long elementSize, ScalarType type)
    {
        var slice = (count + WorldSize - 1) / WorldSize;
        var bytes = (int)(slice * elementSize);
        var padded = data;
        if (slice * WorldSize != count)
        {
            _padded.Resize(bytes * WorldSize);
            padded = _padded.Pointer;
            Buffer.MemoryCopy(data, padded, _padded.Count, count * elementSize);
            new Span<byte>(padded + (count * elementSize), (int)((slice * WorldSize - count) * elementSize)).Clear();
        }

        _gathered.Resize(bytes * WorldSize);
        Wait(_world.AllToAll(padded, _gathered.Pointer, bytes, _communicator));
        RankSum.Run(type, Parts(_gathered.Pointer, bytes), (nint)_gathered.Pointer, 0, slice, adds: false);
        Wait(_world.AllGather(_gathered.Pointer, padded, bytes, _communicator));
        if (padded != data)
            Buffer.MemoryCopy(padded, data, count * elementSize, count * elementSize);
    }

    private nint[] Parts(byte* first, int bytes)
    {
        for (var rank = 0; rank < WorldSize; rank++)
            _parts[rank] = (nint)(first + ((long)rank * bytes));
        return _parts;
    }

    private void Wait(nint request)
    {
        var wait = default(PollingWait);
        while (true)
        {
            if (Volatile.Read(ref _aborted) is { } reason)
                throw new RankFailedException("The group of tensor-parallel ranks was aborted.", reason);
            if (MpiWorld.IsDone(ref request))
                return;
            wait.Once();
        }
    }

    // The rows of a tensor, as tensors.
    private sealed class Rows(Tensor all, int count) : IDisposable
    {
        public Tensor[] Tensors { get; } = [.. Enumerable.Range(0, count).Select(rank => all[rank])];

        public void Dispose()
        {
            foreach (var tensor in Tensors)
                tensor.Dispose();
            all.Dispose();
        }
    }
}
