using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Chooses tokens on the card, so that only their ids cross to the host.</summary>
internal sealed unsafe class CudaSampler(CudaDevice device, KernelCompiler kernels) : IDisposable
{
    private const int Threads = 1024;
    private const int FirstCapacity = 256;

    // Pinned: draws in, ids out.
    private TokenDraw* _hostDraws;
    private int* _hostIds;
    private Tensor? _draws;
    private Tensor? _ids;
    private int _capacity;

    /// <summary>One token a row; -1 where the row is not finite.</summary>
    /// <param name="logits">[rows, vocabulary].</param>
    /// <param name="draws">One per row.</param>
    /// <param name="ids">One per row.</param>
    public void Sample(Tensor logits, ReadOnlySpan<TokenDraw> draws, Span<int> ids)
    {
        var rows = draws.Length;
        EnsureCapacity(rows);
        draws.CopyTo(new(_hostDraws, rows));
        CudaException.Check(CudaDriver.cuMemcpyHtoDAsync_v2((ulong)_draws!.DataPointer(), _hostDraws, (nuint)(rows * sizeof(TokenDraw)), device.Stream), "copying draws");
        kernels.Get("sampling.cu", "sampleRows", KernelCompiler.TypeMacro(logits.dtype)).Launch((rows, 1, 1), Threads, [logits, _draws, _ids, (int)logits.size(1)]);
        CudaException.Check(CudaDriver.cuMemcpyDtoHAsync_v2(_hostIds, (ulong)_ids!.DataPointer(), (nuint)rows * sizeof(int), device.Stream), "copying sampled tokens");
        device.Synchronize();
        new Span<int>(_hostIds, rows).CopyTo(ids);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_hostDraws is not null)
            _ = CudaDriver.cuMemFreeHost(_hostDraws);
        if (_hostIds is not null)
            _ = CudaDriver.cuMemFreeHost(_hostIds);
        _hostDraws = null;
        _hostIds = null;
        _draws?.Dispose();
        _ids?.Dispose();
        _draws = _ids = null;
        _capacity = 0;
    }

    private void EnsureCapacity(int rows)
    {
        if (rows <= _capacity)
            return;
        device.Synchronize();
        var capacity = Math.Max(rows, Math.Max(FirstCapacity, 2 * _capacity));
        Dispose();
        void* draws, ids;
        CudaException.Check(CudaDriver.cuMemAllocHost_v2(&draws, (nuint)(capacity * sizeof(TokenDraw))), "allocating pinned memory");
        _hostDraws = (TokenDraw*)draws;
        CudaException.Check(CudaDriver.cuMemAllocHost_v2(&ids, (nuint)capacity * sizeof(int)), "allocating pinned memory");
        _hostIds = (int*)ids;
        _draws = empty(capacity * (sizeof(TokenDraw) / sizeof(double)), ScalarType.Float64, device.Torch).DetachFromDisposeScope();
        _ids = empty(capacity, ScalarType.Int32, device.Torch).DetachFromDisposeScope();
        _capacity = capacity;
    }
}
