using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Brings weights to the card through pinned memory: the card copies a chunk while the next chunks are read.</summary>
internal sealed unsafe class CudaWeightStaging : IWeightStaging
{
    private readonly CudaDevice _device;
    private readonly PinnedBuffer[] _buffers;

    /// <summary>Allocates 256 MiB of pinned memory.</summary>
    public CudaWeightStaging(CudaDevice device)
    {
        const int buffers = 16;
        _device = device;
        _buffers = [.. Enumerable.Range(0, buffers).Select(_ => new PinnedBuffer(device))];
        try
        {
            foreach (var buffer in _buffers)
                buffer.Reserve((nuint)BufferBytes);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public int Buffers => _buffers.Length;

    /// <inheritdoc/>
    public int BufferBytes => 16 << 20;

    /// <inheritdoc/>
    public Span<byte> Buffer(int index) => new(_buffers[index].Memory, BufferBytes);

    /// <inheritdoc/>
    public Tensor Allocate(long[] shape, ScalarType type) => empty(shape, type, _device.Torch);

    /// <inheritdoc/>
    public void Send(int index, int bytes, Tensor target, long offset)
    {
        CudaException.Check(CudaDriver.cuMemcpyHtoDAsync_v2((ulong)target.DataPointer() + (ulong)offset, _buffers[index].Memory, (nuint)bytes, _device.Stream), "copying weights");
        _buffers[index].MarkUsed();
    }

    /// <inheritdoc/>
    public void WaitSent(int index) => _buffers[index].Wait();

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var buffer in _buffers)
            buffer.Dispose();
    }
}
