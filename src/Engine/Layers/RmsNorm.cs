using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Root mean square layer normalisation (Zhang and Sennrich, 2019), the same on every rank.</summary>
internal sealed class RmsNorm
{
    private readonly LayerContext _context;
    private readonly float _epsilon;
    private readonly LoadedWeight<Tensor> _weight;

    /// <summary>Registers <c>prefix.weight</c> [size].</summary>
    public RmsNorm(LayerContext context, string prefix, int size, float epsilon)
    {
        _context = context;
        _epsilon = epsilon;
        _weight = context.Weights.Add(WeightSpec.Whole($"{prefix}.weight", size), context.Ops.ToDevice);
    }

    /// <summary>Added to the mean square.</summary>
    public float Epsilon => _epsilon;

    /// <summary>[size].</summary>
    public Tensor Weight => _weight.Value;

    /// <summary>Normalises each head of an adjacent range in a fused projection, in place.</summary>
    public void ForwardHeads(Tensor qkv, int firstColumn, int heads) => _context.Ops.RmsNormHeads(qkv, Weight, firstColumn, heads, _epsilon);
}
