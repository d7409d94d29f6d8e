using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Layer normalisation (Ba, Kiros and Hinton, 2016), with a weight and a bias.</summary>
internal sealed class LayerNorm
{
    private readonly LayerContext _context;
    private readonly double _epsilon;
    private readonly long[] _shape;
    private readonly LoadedWeight<Tensor> _weight;
    private readonly LoadedWeight<Tensor> _bias;

    /// <summary>Registers <c>prefix.weight</c> and <c>prefix.bias</c> [size].</summary>
    public LayerNorm(LayerContext context, string prefix, int size, double epsilon)
    {
        _context = context;
        _epsilon = epsilon;
        _shape = [size];
        _weight = context.Weights.Add(WeightSpec.Whole($"{prefix}.weight", size), context.Ops.ToDevice);
        _bias = context.Weights.Add(WeightSpec.Whole($"{prefix}.bias", size), context.Ops.ToDevice);
    }

    /// <summary>[rows, size] → [rows, size].</summary>
    public Tensor Forward(Tensor x) => nn.functional.layer_norm(x, _shape, _weight.Value, _bias.Value, _epsilon);

    /// <summary>Normalises x + residual, both [rows, size]; both may be overwritten.</summary>
    public Tensor ForwardAdd(Tensor x, Tensor residual) =>
        _context.Fused.AddLayerNorm(x, residual, _weight.Value, _bias.Value, (float)_epsilon);
}
