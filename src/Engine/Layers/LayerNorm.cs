using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Layer normalisation (Ba, Kiros and Hinton, 2016), with a weight and a bias.</summary>
internal sealed class LayerNorm : IDisposable
{
    private readonly LayerContext _context;
    private readonly double _epsilon;
    private readonly long[] _shape;
    private Tensor? _weight;
    private Tensor? _bias;

    /// <summary>Registers <c>prefix.weight</c> and <c>prefix.bias</c> [size].</summary>
    public LayerNorm(LayerContext context, string prefix, int size, double epsilon)
    {
        _context = context;
        _epsilon = epsilon;
        _shape = [size];
        context.Weights.Add(WeightPart.Whole($"{prefix}.weight", size), weight => _weight = context.Ops.ToDevice(weight));
        context.Weights.Add(WeightPart.Whole($"{prefix}.bias", size), bias => _bias = context.Ops.ToDevice(bias));
    }

    /// <summary>[rows, size] → the same.</summary>
    public Tensor Forward(Tensor x) => nn.functional.layer_norm(x, _shape, _weight, _bias, _epsilon);

    /// <summary>Of x + residual, both [rows, size], which may be overwritten.</summary>
    public Tensor ForwardAdd(Tensor x, Tensor residual) => _context.Ops.AddLayerNorm(x, residual, _weight!, _bias!, (float)_epsilon);

    /// <inheritdoc/>
    public void Dispose()
    {
        _weight?.Dispose();
        _bias?.Dispose();
    }
}
