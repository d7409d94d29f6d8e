using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// A link between two ranks of one process, through a ring in the receiver's memory (<c>passing.cu</c>). It can be recorded.
/// </summary>
/// <param name="group">Both ends: the sender is rank 0, the receiver rank 1.</param>
/// <param name="sends">Whether this is the sender's end.</param>
internal sealed unsafe class PeerLink(PeerGroup group, bool sends) : IPipelineLink, IDeviceBound
{
    private const string Source = "peers.cu passing.cu";
    private const int Grid = 12;
    private const int Threads = 512;
    private const int PackBytes = 16;
    private const int ChunkBytes = 128 << 10;
    private const long RingBytes = 2L * Grid * ChunkBytes;

    // After the ring, in the memory of either end: counts that the other end writes, then the numbers of this end's chunks.
    private const ulong CountsAt = (ulong)RingBytes;
    private const ulong ChunksAt = CountsAt + (Grid * sizeof(uint));
    private const long RegionBytes = RingBytes + (2 * Grid * sizeof(uint));

    private CudaOps? _ops;
    private ulong _own;
    private ulong _peer;
    private bool _isDisposed;

    /// <inheritdoc/>
    public void Bind(IDeviceOps ops)
    {
        _ops = (CudaOps)ops;
        var region = PeerRegion.Allocate(_ops.Card, RegionBytes);
        _own = region.Address;
        group.Join(sends ? 0 : 1, region);
    }

    /// <inheritdoc/>
    public void Send(Tensor hidden)
    {
        Connect();
        var bytes = hidden.numel() * hidden.dtype.ElementSize();
        Launch(
            "sendChunks",
            bytes,
            [hidden, _peer, _peer + CountsAt, _own + CountsAt, _own + ChunksAt, group.AbortWord, bytes, ChunkOf(bytes)]);
    }

    /// <inheritdoc/>
    public Tensor Receive(long tokens, long width, ScalarType type)
    {
        Connect();
        var target = ((ICollectiveDevice)_ops!).Rent(WorkspaceSlot.Hidden, tokens, width, type);
        var bytes = tokens * width * type.ElementSize();
        Launch(
            "receiveChunks",
            bytes,
            [target, _own, _own + CountsAt, _peer + CountsAt, _own + ChunksAt, group.AbortWord, bytes, ChunkOf(bytes)]);
        return target;
    }

    /// <inheritdoc/>
    public void Abort(Exception reason) => group.Abort(reason);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isDisposed || _ops is null)
            return;
        _isDisposed = true;
        _ = CudaDriver.cuStreamSynchronize(_ops.Card.Stream);
        group.Leave();
    }

    private static int ChunkOf(long bytes) =>
        (int)Math.Min(ChunkBytes, ((bytes + Grid - 1) / Grid + PackBytes - 1) / PackBytes * PackBytes);

    private void Connect()
    {
        group.ThrowIfAborted();
        if (_peer != 0)
            return;
        var other = group.WaitForAll()[sends ? 1 : 0];
        other.OpenTo(_ops!.Card);
        _peer = other.Address;
    }

    private void Launch(string function, long bytes, ReadOnlySpan<KernelArgument> arguments)
    {
        var kernel = _ops!.Kernels.Get(Source, function, $"{KernelCompiler.TypeMacro(ScalarType.Float32)} CHUNK_BYTES={ChunkBytes}");
        var chunk = ChunkOf(bytes);
        group.Gates.Enter(_ops);
        kernel.Launch(((int)Math.Min(Grid, (bytes + chunk - 1) / chunk), 1, 1), Threads, arguments);
        group.Gates.Leave(_ops);
    }
}
