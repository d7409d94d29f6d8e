using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>The experts of each token of a step.</summary>
/// <param name="Ids">[tokens, experts per token] int64.</param>
/// <param name="Weights">[tokens, experts per token] float32.</param>
internal readonly record struct ExpertChoices(Tensor Ids, Tensor Weights);

/// <summary>Chooses the experts of each token (arXiv 2401.06066, 2405.04434, 2412.19437); the same on every rank. Scores are float32.</summary>
internal sealed class ExpertRouter
{
    private readonly LayerContext _context;
    private readonly ExpertOptions _options;
    private readonly LoadedWeight<LinearWeight> _weight;
    private readonly LoadedWeight<Tensor>? _bias;

    /// <summary>Registers <c>prefix.weight</c> [experts, hidden] and, where the choice has one, <c>prefix.e_score_correction_bias</c> [experts].</summary>
    public ExpertRouter(LayerContext context, string prefix, int hiddenSize, ExpertOptions options)
    {
        (_context, _options) = (context, options);
        var type = WeightType.Converted(ScalarType.Float32);
        _weight = context.Weights.Add(
            WeightSpec.Whole($"{prefix}.weight", options.Count, hiddenSize) with { Type = type },
            tensor => context.Ops.PackLinear(tensor, null, LinearRole.Router));
        if (options.Choice == ExpertChoice.NoAuxiliaryLoss)
            _bias = context.Weights.Add(WeightSpec.Whole($"{prefix}.e_score_correction_bias", options.Count) with { Type = type }, context.Ops.ToDevice);
    }

    /// <summary>[tokens, hidden] → the experts of each token.</summary>
    public ExpertChoices Route(Tensor x)
    {
        var logits = _context.Ops.Linear(x.to(ScalarType.Float32), _weight.Value); // [tokens, experts]
        var scores = _options.Scoring == ExpertScoring.Softmax ? logits.softmax(-1) : logits.sigmoid();
        var (_, ids) = Candidates(scores).topk(_options.PerToken);
        var weights = scores.gather(1, ids);
        if (_options.NormalizesWeights)
            weights /= weights.sum(-1, keepdim: true) + 1e-20f;
        return new(ids, weights * _options.WeightScale);
    }

    // Scores to choose by; those of experts in groups that were not chosen are -inf.
    private Tensor Candidates(Tensor scores)
    {
        if (_options.Choice == ExpertChoice.Greedy)
            return scores;
        var candidates = _bias is null ? scores : scores + _bias.Value;
        if (_options.GroupsPerToken == _options.Groups)
            return candidates;
        var groups = candidates.view(scores.size(0), _options.Groups, -1); // [tokens, groups, experts of a group]
        var best = _options.Choice == ExpertChoice.NoAuxiliaryLoss ? groups.topk(2).values.sum(-1) : groups.amax([-1]);
        var (_, chosen) = best.topk(_options.GroupsPerToken); // [tokens, groups per token]
        var left = ones_like(best, ScalarType.Bool).scatter_(1, chosen, zeros_like(chosen, ScalarType.Bool)); // [tokens, groups]
        return groups.masked_fill(left.unsqueeze(2), float.NegativeInfinity).view(scores.size(0), -1);
    }
}
