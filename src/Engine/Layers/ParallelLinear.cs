using LocalLlm.Ops;
using LocalLlm.Weights;

namespace LocalLlm.Layers;

/// <summary>A matrix of which this rank holds a part. Subclasses say which part, and what the ranks do with the results.</summary>
internal abstract class ParallelLinear
{
    /// <summary>Registers the weight (and bias) of this rank, as the context's linear method stores them.</summary>
    /// <param name="context">What layers are built with.</param>
    /// <param name="weights">Slices that are joined along the outputs.</param>
    /// <param name="biases">Slices of the bias, joined likewise; empty for none.</param>
    /// <param name="role">What the products are for.</param>
    protected ParallelLinear(LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role)
    {
        Context = context;
        Matrix = context.LinearMethod.Create(context, weights, biases, role);
    }

    /// <inheritdoc cref="ILinear.MaxRecordedRows"/>
    public int MaxRecordedRows => Matrix.MaxRecordedRows;

    /// <summary>What the layer was built with.</summary>
    protected LayerContext Context { get; }

    /// <summary>This rank's matrix.</summary>
    protected ILinear Matrix { get; }
}
