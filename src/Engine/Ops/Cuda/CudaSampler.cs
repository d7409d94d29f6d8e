using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Chooses tokens on the card, so that only their ids cross to the host.</summary>
internal sealed unsafe class CudaSampler(CudaDevice device, KernelCompiler kernels) : IDisposable
{
    private const int Threads = 1024;
    private const int FirstCapacity = 256;

    // They take turns: [draws | ids] of the two samplings that may be under way.
    private readonly PinnedBuffer[] _hosts = [new(device), new(device)];
    private readonly Queue<(PinnedBuffer Host, int Rows)> _underWay = [];
    private int _turn;
    private Tensor? _draws;
    private Tensor? _ids;
    private int _capacity;

    /// <summary>Changes whenever <see cref="Ids"/> has moved.</summary>
    public int Version { get; private set; }

    /// <summary>[rows] int32: what was sampled last, -1 where the row is not finite.</summary>
    public ulong Ids
    {
        get
        {
            Reserve(FirstCapacity);
            return (ulong)_ids!.DataPointer();
        }
    }

    /// <summary>Starts to choose one token a row; <see cref="End"/> brings them. At most two may be under way.</summary>
    /// <param name="logits">[at least rows, vocabulary].</param>
    /// <param name="draws">One per row.</param>
    public void Begin(Tensor logits, ReadOnlySpan<TokenDraw> draws)
    {
        var rows = draws.Length;
        Reserve(rows);
        _turn ^= 1;
        var host = _hosts[_turn];
        host.Reserve((nuint)(_capacity * (sizeof(TokenDraw) + sizeof(int))));
        draws.CopyTo(new(host.Memory, rows));
        CudaException.Check(CudaDriver.cuMemcpyHtoDAsync_v2((ulong)_draws!.DataPointer(), host.Memory, (nuint)(rows * sizeof(TokenDraw)), device.Stream), "copying draws");
        kernels.Get("sampling.cu", "sampleRows", KernelCompiler.TypeMacro(logits.dtype)).Launch((rows, 1, 1), Threads, [logits, _draws, _ids, (int)logits.size(1)]);
        CudaException.Check(CudaDriver.cuMemcpyDtoHAsync_v2(HostIds(host), (ulong)_ids!.DataPointer(), (nuint)rows * sizeof(int), device.Stream), "copying sampled tokens");
        host.MarkUsed();
        _underWay.Enqueue((host, rows));
    }

    /// <summary>Waits for the oldest sampling under way.</summary>
    /// <param name="ids">One per row.</param>
    public void End(Span<int> ids)
    {
        var (host, rows) = _underWay.Dequeue();
        host.Wait();
        new Span<int>(HostIds(host), rows).CopyTo(ids);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var host in _hosts)
            host.Dispose();
        _draws?.Dispose();
        _ids?.Dispose();
        _draws = _ids = null;
        _capacity = 0;
    }

    /// <summary>Makes room for so many rows; only while nothing is under way, unless there is room.</summary>
    public void Reserve(int rows)
    {
        if (rows <= _capacity)
            return;
        if (_underWay.Count > 0)
            throw new InvalidOperationException($"{rows} rows are sampled at once, but there is room for {_capacity} while others are under way.");
        var capacity = Math.Max(rows, FirstCapacity);
        _draws?.Dispose();
        _ids?.Dispose();
        _draws = empty(capacity * (sizeof(TokenDraw) / sizeof(double)), ScalarType.Float64, device.Torch).DetachFromDisposeScope();
        _ids = empty(capacity, ScalarType.Int32, device.Torch).DetachFromDisposeScope();
        _capacity = capacity;
        Version++;
    }

    private int* HostIds(PinnedBuffer host) => (int*)((byte*)host.Memory + (_capacity * sizeof(TokenDraw)));
}
