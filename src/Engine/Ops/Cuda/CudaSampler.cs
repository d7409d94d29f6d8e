using System.Runtime.InteropServices;
using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Samples tokens on the card: only their ids go to the host.</summary>
/// <param name="device">The card.</param>
/// <param name="kernels">The card's kernels.</param>
/// <param name="workspace">Buffers for changed logits.</param>
/// <param name="stepsInFlight">Max number of samplings under way.</param>
internal sealed unsafe class CudaSampler(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, int stepsInFlight) : IDisposable
{
    private const int Threads = 1024;
    private const int FirstCapacity = 256;
    private const int CutBytes = 8;
    private const int Alignment = 16;
    private const int BestThreads = 128;
    private const int MaxGivenDraws = 64; // as sampling.cu
    private const string BestSource = "best.cu";

    // The inputs and resulting ids of the samplings under way, one buffer for each, in turn.
    private readonly PinnedBuffer[] _hosts = [.. Enumerable.Range(0, stepsInFlight).Select(_ => new PinnedBuffer(device))];
    private readonly Queue<(PinnedBuffer Host, int Rows)> _underWay = [];
    private int _turn;
    private Tensor? _inputs; // draws, edits and their lists
    private Tensor? _cuts;
    private Tensor? _ids;
    private int _capacity;

    /// <summary>Changes whenever <see cref="Ids"/> has moved.</summary>
    public int Version { get; private set; }

    /// <summary>[rows] int32: the ids that were sampled last, or kept from other cards; negative where there is no token.</summary>
    public ulong Ids
    {
        get
        {
            Reserve(FirstCapacity);
            return Address(_ids!);
        }
    }

    /// <inheritdoc cref="IDeviceOps.RowMaxima"/>
    public Tensor RowMaxima(Tensor logits, long firstColumn)
    {
        var (rows, width) = ((int)logits.size(0), (int)logits.size(1));
        var maxima = workspace.Rent(WorkspaceSlot.RowMaxima, rows, 2, ScalarType.Float32);
        kernels.Get(BestSource, "rowMaxima", KernelCompiler.TypeMacro(logits.dtype))
            .Launch((rows, 1, 1), Threads, [logits, maxima, width, (int)firstColumn]);
        return maxima;
    }

    /// <inheritdoc cref="ITokenSampler.BestOfRanks"/>
    public Tensor BestOfRanks(Tensor maxima, int ranks)
    {
        var rows = (int)maxima.size(0) / ranks;
        using var best = workspace.Rent(WorkspaceSlot.BestTokens, rows, 1, ScalarType.Int32);
        kernels.Get(BestSource, "bestOfRanks", KernelCompiler.TypeMacro(ScalarType.Float32))
            .Launch(((rows + BestThreads - 1) / BestThreads, 1, 1), BestThreads, [maxima, best, rows, ranks]);
        return best.view(rows);
    }

    /// <summary>
    /// Starts to sample one token for each row; <see cref="End"/> returns them. At most stepsInFlight samplings may be under way.
    /// </summary>
    /// <inheritdoc cref="ITokenSampler.BeginSample"/>
    public void Begin(Tensor? logits, SamplingBatch batch, Tensor? best)
    {
        var rows = best is null ? batch.Draws.Count : (int)best.size(0);
        if (_underWay.Count == _hosts.Length)
            throw new InvalidOperationException($"{_underWay.Count} samplings are under way; no buffer is free.");
        Reserve(rows);
        _turn = (_turn + 1) % _hosts.Length;
        var host = _hosts[_turn];
        // The rows to draw are overwritten later.
        if (best is not null)
        {
            var copied = CudaDriver.cuMemcpyDtoDAsync_v2(Address(_ids!), Address(best), (nuint)rows * sizeof(int), device.Stream);
            CudaException.Check(copied, "copying chosen tokens");
        }

        if (logits is not null)
            Draw(logits, batch, host, best is not null);
        else
            host.Reserve((nuint)IdBytes);
        if (best is not null)
        {
            var copied = CudaDriver.cuMemcpyDtoHAsync_v2(host.Memory, Address(_ids!), (nuint)rows * sizeof(int), device.Stream);
            CudaException.Check(copied, "copying sampled tokens");
        }

        host.MarkUsed();
        _underWay.Enqueue((host, rows));
    }

    /// <summary>Waits for the oldest sampling under way.</summary>
    /// <param name="ids">One per row.</param>
    public void End(Span<int> ids)
    {
        var (host, rows) = _underWay.Dequeue();
        host.Wait();
        new Span<int>(host.Memory, rows).CopyTo(ids);
    }

    /// <summary>The ids that were sampled last: int32 [rows, 1] of the current dispose scope.</summary>
    public Tensor Sampled(int rows) => _ids!.narrow(0, 0, rows).view(rows, 1);

    /// <summary>Copies ids [rows, 1] on this card to the place that inputs read them from.</summary>
    public void Keep(Tensor ids, int firstRow)
    {
        var rows = (int)ids.size(0);
        if (firstRow + rows > _capacity)
            throw new InvalidOperationException($"{rows} ids were to be kept from row {firstRow} on, but there is room for {_capacity}.");
        var target = Address(_ids!) + ((ulong)firstRow * sizeof(int));
        CudaException.Check(CudaDriver.cuMemcpyDtoDAsync_v2(target, Address(ids), (nuint)rows * sizeof(int), device.Stream), "keeping sampled tokens");
    }

    /// <summary>Allocates room for this many rows if there is none yet; then no sampling may be under way.</summary>
    public void Reserve(int rows)
    {
        if (rows <= _capacity)
            return;
        if (_underWay.Count > 0)
            throw new InvalidOperationException($"{rows} rows are sampled at once, but there is room for {_capacity} while others are under way.");
        _capacity = Math.Max(rows, FirstCapacity);
        _cuts?.Dispose();
        _ids?.Dispose();
        _cuts = Allocate(_capacity * CutBytes);
        _ids = empty(_capacity, ScalarType.Int32, device.Torch).DetachFromDisposeScope();
        Version++;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var host in _hosts)
            host.Dispose();
        _inputs?.Dispose();
        _cuts?.Dispose();
        _ids?.Dispose();
        _inputs = _cuts = _ids = null;
        _capacity = 0;
    }

    // Samples each row of a batch; isPart: the batch has only some of the step's rows.
    private void Draw(Tensor logits, SamplingBatch batch, PinnedBuffer host, bool isPart)
    {
        var (rows, width) = (batch.Draws.Count, (int)logits.size(1));
        // A copy between two kernels takes as long as either kernel: pass the draws as an argument instead.
        var isGiven = rows <= MaxGivenDraws && !isPart && !batch.HasEdits && !batch.HasCuts;
        if (isGiven)
            host.Reserve((nuint)IdBytes);
        var (editsAt, dataAt, rowsAt) = isGiven ? default : Upload(host, batch, isPart);
        if (batch.HasEdits)
        {
            var processed = workspace.Rent(WorkspaceSlot.Processed, rows, width, ScalarType.Float32);
            kernels.Get("processors.cu", "processRows", KernelCompiler.TypeMacro(logits.dtype)).Launch((rows, 1, 1), Threads, [logits, processed, editsAt, dataAt, width]);
            logits = processed;
        }

        var draws = isGiven ? 0ul : Address(_inputs!);
        Span<TokenDraw> given = stackalloc TokenDraw[MaxGivenDraws];
        if (isGiven)
            batch.Draws.Span.CopyTo(given);
        if (batch.HasCuts)
            kernels.Get("draw.cu cut.cu", "cutRows", KernelCompiler.TypeMacro(logits.dtype)).Launch((rows, 1, 1), Threads, [logits, draws, _cuts, width]);
        var nothingLeft = batch.HasEdits ? ITokenSampler.NoTokenAllowed : ITokenSampler.NonFiniteRow;
        kernels.Get("draw.cu sampling.cu", "sampleRows", $"{KernelCompiler.TypeMacro(logits.dtype)} CUTS={(batch.HasCuts ? 1 : 0)} NOTHING_LEFT={nothingLeft}")
            .Launch(
                (rows, 1, 1), Threads, [logits, draws, _cuts, isPart ? rowsAt : 0ul, _ids, isPart ? 0ul : (ulong)host.Memory, width],
                last: MemoryMarshal.AsBytes(given));
    }

    // Copies the batch to the card. Returns the addresses of its edits, their lists and the numbers of its rows. The host's buffer begins
    // with room for the ids.
    private (ulong Edits, ulong Data, ulong Rows) Upload(PinnedBuffer host, SamplingBatch batch, bool withRows)
    {
        var rowsStart = Aligned((long)batch.Draws.Count * sizeof(TokenDraw));
        var editsStart = withRows ? Aligned(rowsStart + ((long)batch.Rows.Count * sizeof(int))) : rowsStart;
        var dataStart = Aligned(editsStart + ((long)batch.Edits.Count * sizeof(TokenEdits)));
        var bytes = batch.HasEdits ? dataStart + ((long)batch.Data.Count * sizeof(int)) : editsStart;
        host.Reserve((nuint)(IdBytes + bytes));
        var target = (byte*)host.Memory + IdBytes;
        batch.Draws.Span.CopyTo(new(target, batch.Draws.Count));
        if (withRows)
            batch.Rows.Span.CopyTo(new(target + rowsStart, batch.Rows.Count));
        if (batch.HasEdits)
        {
            batch.Edits.Span.CopyTo(new(target + editsStart, batch.Edits.Count));
            batch.Data.Span.CopyTo(new(target + dataStart, batch.Data.Count));
        }

        if (_inputs is null || _inputs.numel() < bytes)
        {
            _inputs?.Dispose();
            _inputs = Allocate(Math.Max(2 * bytes, FirstCapacity * sizeof(TokenDraw)));
        }

        var start = Address(_inputs);
        CudaException.Check(CudaDriver.cuMemcpyHtoDAsync_v2(start, target, (nuint)bytes, device.Stream), "copying a step's sampling parameters");
        return (start + (ulong)editsStart, start + (ulong)dataStart, start + (ulong)rowsStart);
    }

    private long IdBytes => Aligned((long)_capacity * sizeof(int));

    private static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    private static ulong Address(Tensor tensor) => (ulong)tensor.DataPointer();

    private Tensor Allocate(long bytes) => empty(bytes, ScalarType.Byte, device.Torch).DetachFromDisposeScope();
}
