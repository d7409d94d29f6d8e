using LocalLlm.Interop;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// Routed experts, some of which a router chooses for every token, and shared experts, which process every token (arXiv 2401.06066). Every
/// rank has a part of each expert, or some whole experts; the ranks' results are summed once.
/// </summary>
/// <remarks>
/// Data-parallel groups share the routed experts. In each step every rank of the stage gathers the rows of all groups, routes all of them
/// and computes its own experts; each group gets the sum of its own rows (vLLM's <c>allgather_reducescatter</c>). Each group has shared
/// experts of its own. Their sum is added last, so that a row has the same additions in the same order in every group.
/// </remarks>
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
        if (options.SharedWidth > 0)
        {
            _shared = new(context, $"{prefix}.shared_experts", hiddenSize, options.SharedWidth,
                ShardRange.Of(options.SharedWidth, context.Collectives, $"The output size of {prefix}.shared_experts.gate_proj"));
        }

        _experts = new(context, $"{prefix}.experts", hiddenSize, options, _shared);
    }

    /// <inheritdoc/>
    public bool ServesOtherGroups => _context.Peers is not null;

    /// <inheritdoc/>
    public int MaxRecordedRows =>
        _context.Peers is not null || _experts.Shares is not null || !_experts.Takes(_context.ActivationType) ? 0 : _shared?.MaxRecordedRows ?? int.MaxValue;

    /// <inheritdoc/>
    public void AddTo(Tensor residual, RmsNorm norm, ForwardContext context)
    {
        if (_context.Peers is { } peers)
        {
            AddShared(residual, norm, peers, context.Rows!);
            return;
        }

        if (_experts.Takes(residual.dtype))
        {
            AddOnDevice(residual, norm);
            return;
        }

        var x = _context.Ops.RmsNorm(residual, norm.Weight, norm.Epsilon);
        var sum = _experts.Forward(x, _router.Route(x)); // [tokens, hidden] float32
        if (_shared is not null)
            sum.AddInPlace(_shared.Forward(x));
        _context.Collectives.AddAllReduced(residual, sum.to(residual.dtype));
    }

    // One operation sums all parts. It adds them to the residual stream too, unless another rank has parts of the sum.
    private void AddOnDevice(Tensor residual, RmsNorm norm)
    {
        var joins = _experts.JoinsShared(residual.dtype, residual.size(0));
        // A separate shared expert quantises its own rows.
        var normalised = joins || _shared is null ? _experts.TryNormalise(residual, norm) : null;
        var x = normalised?.Rows ?? _context.Ops.RmsNorm(residual, norm.Weight, norm.Epsilon);
        var shared = joins ? null : _shared?.Forward(x);
        var isAlone = _context.Collectives.WorldSize == 1;
        var choices = _router.Route(x, joins);
        var sum = _experts.TrySum(x, choices, shared, isAlone ? residual : null, normalised?.Quantised)!; // [tokens, hidden]
        if (!isAlone)
            _context.Collectives.AddAllReduced(residual, sum);
    }

    // Works on the rows of all groups; this group may have no rows.
    private void AddShared(Tensor residual, RmsNorm norm, ICollectives peers, GroupRows rows)
    {
        var own = residual.size(0);
        var x = own == 0 ? residual : _context.Ops.RmsNorm(residual, norm.Weight, norm.Epsilon);
        var all = peers.AllGatherRows(x, rows.Counts);
        var choices = _router.Route(all);
        var sum = _experts.TrySum(all, choices) ?? _experts.Forward(all, choices).to(residual.dtype); // [tokens of all groups, hidden]
        _context.ExpertRanks.AddReducedRows(residual, sum, rows.First);
        // Not inside this rank's part of the sum, because that part has another position among the ranks' parts in each group.
        if (_shared is not null && own > 0)
            _context.Collectives.AddAllReduced(residual, _shared.Forward(x));
    }
}
