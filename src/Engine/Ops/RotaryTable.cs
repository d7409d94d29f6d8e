using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Cosines and sines of rotary position embeddings, both [rows, head_dim / 2], float32; owns its tensors.</summary>
internal sealed class RotaryTable(Tensor cos, Tensor sin) : IDisposable
{
    /// <summary>[rows, head_dim / 2] float32.</summary>
    public Tensor Cos { get; private set; } = cos;

    /// <summary>[rows, head_dim / 2] float32.</summary>
    public Tensor Sin { get; private set; } = sin;

    /// <summary>Changes with the contents.</summary>
    public int Version { get; private set; }

    /// <summary>Call after writing rows: devices then renew their copies.</summary>
    public void Touch() => Version++;

    /// <summary>Replaces the tensors by larger ones and disposes the old ones.</summary>
    public void Replace(Tensor cos, Tensor sin)
    {
        Dispose();
        (Cos, Sin) = (cos, sin);
        Version++;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Cos.Dispose();
        Sin.Dispose();
    }
}
