using LocalLlm.Interop;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// Experts of which a router chooses some for every token, and experts that process every token (arXiv 2401.06066). Every rank has a part of
/// each expert, and the ranks' results are summed once.
/// </summary>
internal sealed class MixtureOfExperts : IFeedForward
{
    private readonly LayerContext _context;
    private readonly ExpertRouter _router;
    private readonly RoutedExperts _experts;
    private readonly Expert? _shared;

    /// <summary>Registers <c>prefix.gate</c>, <c>prefix.experts.N</c> and <c>prefix.shared_experts</c>.</summary>
    public MixtureOfExperts(LayerContext context, string prefix, int hiddenSize, ExpertOptions options)
    {
        _context = context;
        _router = new(context, $"{prefix}.gate", hiddenSize, options.Routing);
        _experts = new(context, $"{prefix}.experts", hiddenSize, options);
        if (options.SharedWidth > 0)
        {
            _shared = new(context, $"{prefix}.shared_experts", hiddenSize, options.SharedWidth,
                ShardRange.Of(options.SharedWidth, context.Collectives, $"The output size of {prefix}.shared_experts.gate_proj"));
        }
    }

    /// <inheritdoc/>
    public void AddTo(Tensor residual, RmsNorm norm)
    {
        var x = _context.Ops.RmsNorm(residual, norm.Weight, norm.Epsilon);
        var sum = _experts.Forward(x, _router.Route(x)); // [tokens, hidden] float32
        if (_shared is not null)
            sum.AddInPlace(_shared.Forward(x));
        _context.Collectives.AddAllReduced(residual, sum.to(residual.dtype));
    }
}
