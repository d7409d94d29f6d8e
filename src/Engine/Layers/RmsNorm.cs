using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Root mean square layer normalisation (Zhang and Sennrich, 2019), the same on every rank.</summary>
internal sealed class RmsNorm : IDisposable
{
    private readonly LayerContext _context;
    private readonly float _epsilon;
    private Tensor? _weight;

    /// <summary>Registers <c>prefix.weight</c> [size].</summary>
    public RmsNorm(LayerContext context, string prefix, int size, float epsilon)
    {
        _context = context;
        _epsilon = epsilon;
        context.Weights.Add(WeightPart.Whole($"{prefix}.weight", size), weight => _weight = context.Ops.ToDevice(weight));
    }

    /// <summary>Added to the mean square.</summary>
    public float Epsilon => _epsilon;

    /// <summary>[size].</summary>
    public Tensor Weight => _weight ?? throw new InvalidOperationException("The norm is not loaded.");

    /// <summary>Normalises each of some adjacent heads of a fused projection in place.</summary>
    public void ForwardHeads(Tensor qkv, int firstColumn, int heads) => _context.Ops.RmsNormHeads(qkv, Weight, firstColumn, heads, _epsilon);

    /// <inheritdoc/>
    public void Dispose() => _weight?.Dispose();
}
