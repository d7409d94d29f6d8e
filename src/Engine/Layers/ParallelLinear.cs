using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>A matrix that this rank holds a part of. Subclasses say which part, and what the ranks do with the results.</summary>
internal abstract class ParallelLinear : IDisposable
{
    private LinearWeight? _weight;
    private Tensor? _bias;

    /// <summary>Registers the weight (and bias) of this rank.</summary>
    /// <param name="context">What layers are built with.</param>
    /// <param name="weights">Slices that are joined along the outputs.</param>
    /// <param name="biases">Slices of the bias, joined likewise; empty for none.</param>
    /// <param name="role">What the products are for.</param>
    protected ParallelLinear(LayerContext context, IReadOnlyList<WeightPart> weights, IReadOnlyList<WeightPart> biases, LinearRole role)
    {
        Context = context;
        // Registered first, so that it is there when the weight is packed.
        if (biases.Count > 0)
            context.Weights.Add(biases, bias => _bias = bias.clone().DetachFromDisposeScope());
        context.Weights.Add(weights, weight =>
        {
            _weight = context.Ops.PackLinear(weight, _bias, role);
            _bias?.Dispose();
            _bias = null;
        });
    }

    /// <summary>What the layer was built with.</summary>
    protected LayerContext Context { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        _weight?.Dispose();
        _bias?.Dispose();
    }

    /// <summary>This rank's matrix.</summary>
    protected LinearWeight Weight => _weight ?? throw new InvalidOperationException("The layer's weight is not loaded.");
}
