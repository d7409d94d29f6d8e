using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>Loads tensors into the host's own memory with a plain copy.</summary>
internal sealed class HostStaging(int buffers = 4, int bufferBytes = 4 << 20) : IWeightStaging
{
    private readonly byte[][] _buffers = [.. Enumerable.Range(0, buffers).Select(_ => GC.AllocateUninitializedArray<byte>(bufferBytes))];

    /// <inheritdoc/>
    public int Buffers => _buffers.Length;

    /// <inheritdoc/>
    public int BufferBytes => _buffers[0].Length;

    /// <inheritdoc/>
    public Span<byte> Buffer(int index) => _buffers[index];

    /// <inheritdoc/>
    public Tensor Allocate(long[] shape, ScalarType type) => empty(shape, type);

    /// <inheritdoc/>
    public unsafe void Send(int index, int bytes, Tensor target, long offset) =>
        _buffers[index].AsSpan(0, bytes).CopyTo(new Span<byte>((byte*)target.DataPointer() + offset, bytes));

    /// <inheritdoc/>
    public void WaitSent(int index)
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
