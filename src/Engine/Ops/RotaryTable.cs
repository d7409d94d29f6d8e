using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Cosines and sines of rotary position embeddings, both [rows, head_dim / 2], float32; owns its tensors.</summary>
internal sealed class RotaryTable(Tensor cos, Tensor sin) : IDisposable
{
    /// <summary>[rows, head_dim / 2] float32.</summary>
    public Tensor Cos { get; } = cos;

    /// <summary>[rows, head_dim / 2] float32.</summary>
    public Tensor Sin { get; } = sin;

    /// <inheritdoc/>
    public void Dispose()
    {
        Cos.Dispose();
        Sin.Dispose();
    }
}
