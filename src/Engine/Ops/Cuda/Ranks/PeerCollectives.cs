using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// Our own collectives among ranks of one process that reach each other's memory, on one card or several. Small sums take one shot
/// (<c>allreduce.cu</c>), everything else goes in chunks (<c>exchange.cu</c>); other collectives may take over what is large. Kernels have
/// few blocks, so two ranks on one card are resident at once. All of it can be recorded: the message counters are in the cards' memory.
/// </summary>
/// <param name="group">The ranks.</param>
/// <param name="rank">Number of this rank.</param>
/// <param name="large">Creates the collectives for more than <see cref="LargeBytes"/>; null, or a null result: our own.</param>
internal sealed unsafe class PeerCollectives(PeerGroup group, int rank, Func<ICollectives?>? large = null) : ICollectives, IDeviceBound
{
    /// <summary>Largest sum that takes one shot. Beyond it, the doubled words cost more than a second turn.</summary>
    public const int OneShotBytes = 256 << 10;

    /// <summary>Size above which the collectives for large messages are used, if there are any.</summary>
    public const int LargeBytes = 1 << 20;

    /// <summary>Max size of a message in one shot.</summary>
    public const int MaxOneShotBytes = 512 << 10;

    private const int Warp = 32;
    private const string OneShotSource = "peers.cu allreduce.cu", ExchangeSource = "peers.cu exchange.cu";
    private const int ItemBytes = 8;
    private const int PackBytes = 16;
    private const int OneShotGrid = 16;
    private const int OneShotThreads = 512;
    private const int NormThreads = 1024;
    private const int ExchangeGrid = 24;
    private const int ExchangeThreads = 512;
    private const int ChunkBytes = 128 << 10;
    private const int Capacity = MaxOneShotBytes / sizeof(uint); // words of 8 bytes, half of each data
    private const long BoxBytes = 2L * Capacity * sizeof(ulong); // times the ranks
    private const long StageBytes = 2L * ChunkBytes * ExchangeGrid;

    private CudaOps? _ops;
    private ICollectives? _large;
    private ulong _own; // [boxes | stages | arrivals | messages | chunks | table of all ranks' boxes, stages and arrivals]
    private bool _isConnected;
    private bool _isDisposed;

    /// <inheritdoc/>
    public int Rank => rank;

    /// <inheritdoc/>
    public int WorldSize => group.Size;

    /// <summary>Largest sum that takes one shot, up to <see cref="MaxOneShotBytes"/>.</summary>
    public int OneShotLimit { get; init; } = OneShotBytes;

    /// <summary>Largest sum or gather of our own kernels if there are collectives for large messages.</summary>
    public int OwnLimit { get; init; } = LargeBytes;

    /// <summary>Whether there are collectives for large messages.</summary>
    public bool HasLarge => _large is not null;

    /// <inheritdoc/>
    public void Bind(IDeviceOps ops)
    {
        _ops = (CudaOps)ops;
        var region = PeerRegion.Allocate(_ops.Card, TableAt + (3 * group.Size * sizeof(ulong)));
        _own = region.Address;
        group.Join(rank, region);
        _large = large?.Invoke();
        (_large as IDeviceBound)?.Bind(ops);
    }

    /// <inheritdoc/>
    public Tensor AllReduce(Tensor tensor)
    {
        Sum(tensor, null);
        return tensor;
    }

    /// <inheritdoc/>
    public void AddAllReduced(Tensor residual, Tensor part) => Sum(part, residual);

    /// <summary><see cref="AddAllReduced"/>, then <see cref="IDeviceOps.RmsNorm"/> of the new residual: [tokens, width].</summary>
    public Tensor AddAllReducedNormed(Tensor residual, Tensor part, Tensor normWeight, float epsilon)
    {
        var (rows, width, size) = ((int)part.size(0), (int)part.size(1), (int)part.dtype.ElementSize());
        if (!TakesOneShot(part) || width * size % ItemBytes != 0)
        {
            Sum(part, residual);
            return _ops!.RmsNorm(residual, normWeight, epsilon);
        }

        Connect();
        var normed = ((ICollectiveDevice)_ops!).Rent(WorkspaceSlot.Normed, rows, width, part.dtype);
        var rowItems = width * size / ItemBytes;
        var threads = Math.Clamp((rowItems + Warp - 1) / Warp * Warp, Warp, NormThreads);
        OneShot(part, residual, normWeight, normed, epsilon, Math.Min(rows, OneShotGrid), threads, rowItems);
        return normed;
    }

    /// <inheritdoc/>
    public Tensor AllGather(Tensor tensor, int dimension)
    {
        if (_large is not null && Bytes(tensor) > OwnLimit)
            return _large.AllGather(tensor, dimension);
        var (rows, width) = (tensor.size(0), tensor.size(1));
        return dimension == 0 ? GatherColumns(tensor, 1, rows * width, rows * width * WorldSize).view(rows * WorldSize, width)
            : GatherColumns(tensor, rows, width, width * WorldSize);
    }

    /// <inheritdoc/>
    public Tensor AllGatherColumns(Tensor tensor, long share, long total) =>
        // Decided by the share, which is the same on all ranks: the last one may have fewer columns.
        _large is not null && tensor.size(0) * share * tensor.dtype.ElementSize() > OwnLimit
            ? _large.AllGatherColumns(tensor, share, total) : GatherColumns(tensor, tensor.size(0), share, total);

    /// <inheritdoc/>
    public Tensor AllGatherRows(Tensor tensor, IReadOnlyList<int> rows)
    {
        var (most, width) = ((long)rows.Max(), tensor.size(1));
        if (most == 0)
            return tensor;
        // Decided by a size that all ranks know: their own row counts differ.
        if (_large is not null && most * width * tensor.dtype.ElementSize() > OwnLimit)
            return _large.AllGatherRows(tensor, rows);
        // After a rank's own rows, its chunks hold arbitrary values; they are left out below.
        using var parts = GatherColumns(tensor, 1, most * width, most * width * WorldSize);
        using var laid = parts.view(most * WorldSize, width);
        return GroupRows.Join(laid, rows);
    }

    /// <inheritdoc/>
    /// <remarks>Each rank reads only its own rows of a sum in chunks, and rounds once.</remarks>
    public void AddReducedRows(Tensor residual, Tensor part, long firstRow)
    {
        var (first, own, size) = (firstRow * part.size(1), residual.numel(), part.dtype.ElementSize());
        if (TakesOneShot(part) || (_large is not null && Bytes(part) > int.MaxValue))
        {
            Sum(part, null);
            if (own == 0)
                return;
            using var rows = part.narrow(0, firstRow, residual.size(0));
            residual.AddInPlace(rows);
            return;
        }

        Connect();
        var isPacked = Bytes(part) % PackBytes == 0 && first * size % PackBytes == 0 && own * size % PackBytes == 0;
        Exchange(part, residual, new(part.numel(), (int)first, (int)own, 0), isPacked, "ADD=1 GATHER=0 SCATTER=1");
    }

    /// <inheritdoc/>
    public TResult Share<T, TResult>(T own, Func<IReadOnlyList<T>, TResult> work)
        where T : class
    {
        var card = _ops!.Card;
        card.Synchronize(); // the shared data is complete
        return group.Meeting.Share(rank, own, all =>
        {
            var result = work(all);
            card.Synchronize(); // and this rank has finished with it, on its card too
            return result;
        });
    }

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        group.Abort(reason);
        _large?.Abort(reason);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _large?.Dispose();
        if (_ops is null)
            return;
        _ = CudaDriver.cuStreamSynchronize(_ops.Card.Stream);
        group.Leave();
    }

    /// <summary>
    /// Sets the number of the next sum in one shot to <paramref name="last"/> + 1. Call it on all ranks, before any of them launches one.
    /// </summary>
    public void CountFrom(uint last)
    {
        var numbers = new uint[OneShotGrid];
        Array.Fill(numbers, last);
        fixed (uint* source = numbers)
        {
            var bytes = (nuint)(numbers.Length * sizeof(uint));
            CudaException.Check(CudaDriver.cuMemcpyHtoDAsync_v2(_own + (ulong)MessagesAt, source, bytes, _ops!.Card.Stream), "copying numbers");
        }

        _ops.Card.Synchronize();
    }

    private long StagesAt => BoxBytes * group.Size;

    private long ArrivalsAt => StagesAt + StageBytes;

    private long MessagesAt => ArrivalsAt + ((long)ExchangeGrid * group.Size * sizeof(uint));

    private long ChunksAt => MessagesAt + (OneShotGrid * sizeof(uint));

    private long TableAt => (ChunksAt + (ExchangeGrid * sizeof(uint)) + PackBytes - 1) / PackBytes * PackBytes;

    private static long Bytes(Tensor tensor) => tensor.numel() * tensor.dtype.ElementSize();

    private bool TakesOneShot(Tensor part) => Bytes(part) <= OneShotLimit && Bytes(part) % ItemBytes == 0;

    // Writes the addresses of all ranks' memory: once, while nothing is being recorded.
    private void Connect()
    {
        group.ThrowIfAborted();
        if (_isConnected)
            return;
        var card = _ops!.Card;
        var regions = group.WaitForAll();
        var table = new ulong[3 * regions.Count];
        for (var peer = 0; peer < regions.Count; peer++)
        {
            regions[peer].OpenTo(card);
            table[peer] = regions[peer].Address;
            table[regions.Count + peer] = regions[peer].Address + (ulong)StagesAt;
            table[(2 * regions.Count) + peer] = regions[peer].Address + (ulong)ArrivalsAt;
        }

        fixed (ulong* source = table)
        {
            var bytes = (nuint)(table.Length * sizeof(ulong));
            CudaException.Check(CudaDriver.cuMemcpyHtoDAsync_v2(_own + (ulong)TableAt, source, bytes, card.Stream), "copying addresses");
        }

        card.Synchronize();
        _isConnected = true;
    }

    private Tensor GatherColumns(Tensor tensor, long rows, long share, long total)
    {
        Connect();
        var result = ((ICollectiveDevice)_ops!).Rent(WorkspaceSlot.Gathered, rows, total, tensor.dtype);
        var (own, size) = (tensor.numel() / rows, (int)tensor.dtype.ElementSize());
        var isPacked = share * size % PackBytes == 0 && own * size % PackBytes == 0 && total * size % PackBytes == 0;
        Exchange(tensor, result, new(rows * share, (int)share, (int)own, (int)total), isPacked, "ADD=0 GATHER=1");
        return result;
    }

    private void Sum(Tensor part, Tensor? residual)
    {
        if (TakesOneShot(part))
        {
            Connect();
            var items = (int)(Bytes(part) / ItemBytes);
            var most = items <= OneShotGrid * OneShotThreads / 2 ? OneShotThreads / 2 : OneShotThreads;
            var threads = Math.Clamp((items + Warp - 1) / Warp * Warp, Warp, most);
            OneShot(part, residual, null, null, 0, Math.Clamp((items + threads - 1) / threads, 1, OneShotGrid), threads, threads);
            return;
        }

        if (_large is not null && Bytes(part) > OwnLimit)
        {
            if (residual is null)
                _large.AllReduce(part);
            else
                _large.AddAllReduced(residual, part);
            return;
        }

        Connect();
        var what = residual is null ? "ADD=0 GATHER=0" : "ADD=1 GATHER=0";
        Exchange(part, residual, new(part.numel(), 1, 1, 1), Bytes(part) % PackBytes == 0, what);
    }

    private void OneShot(
        Tensor part, Tensor? residual, Tensor? normWeight, Tensor? normed, float epsilon, int grid, int threads, int segmentItems)
    {
        var kernel = _ops!.Kernels.Get(
            OneShotSource,
            "allReduce",
            $"{Common(part)} CAPACITY={Capacity} GRID={OneShotGrid} ADD={(residual is null ? 0 : 1)} NORM={(normed is null ? 0 : 1)}");
        group.Gates.Enter(_ops);
        kernel.Launch(
            (grid, 1, 1),
            threads,
            [
                part, residual, normWeight, normed, _own + (ulong)TableAt, _own + (ulong)MessagesAt, group.AbortWord,
                (int)(Bytes(part) / ItemBytes), segmentItems, epsilon,
            ]);
        group.Gates.Leave(_ops);
    }

    private void Exchange(Tensor part, Tensor? target, in Columns columns, bool isPacked, string what)
    {
        var (count, size) = (columns.Count, (int)part.dtype.ElementSize());
        if (count * size > int.MaxValue)
            throw new InvalidOperationException($"{count * size} bytes are more than ranks exchange at once.");
        // One chunk of whole packs for every block, unless chunks become too large.
        var perPack = PackBytes / size;
        var chunk = (int)Math.Min(ChunkBytes / size, ((count + ExchangeGrid - 1) / ExchangeGrid + perPack - 1) / perPack * perPack);
        var constants = $"{Common(part)} CHUNK_BYTES={ChunkBytes} PACKED={(isPacked ? 1 : 0)} {what}";
        var kernel = _ops!.Kernels.Get(ExchangeSource, "exchange", constants);
        var table = _own + (ulong)TableAt;
        var (stages, arrivals) = (table + (ulong)(group.Size * sizeof(ulong)), table + (ulong)(2 * group.Size * sizeof(ulong)));
        group.Gates.Enter(_ops);
        kernel.Launch(
            ((int)Math.Min(ExchangeGrid, (count + chunk - 1) / chunk), 1, 1),
            ExchangeThreads,
            [
                part, target, stages, arrivals, _own + (ulong)ChunksAt, group.AbortWord, (int)count,
                columns.Width, columns.Own, columns.Total, chunk,
            ]);
        group.Gates.Leave(_ops);
    }

    // For a gather: elements if all ranks had full widths, the width, this rank's own width, and the total width. For a scatter: elements,
    // this rank's first one, how many follow it.
    private readonly record struct Columns(long Count, int Width, int Own, int Total);

    private string Common(Tensor part) => $"{KernelCompiler.TypeMacro(part.dtype)} RANKS={group.Size} RANK={rank}";
}
