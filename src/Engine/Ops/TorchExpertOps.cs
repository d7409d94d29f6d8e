using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Mixtures of experts by plain ATen on any device.</summary>
internal sealed class TorchExpertOps : IExpertOps
{
    // Avoids a division by zero when all scores are 0.
    private const float MinSum = 1e-20f;

    /// <inheritdoc/>
    public ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing, bool joinsShared = false)
    {
        var scores = routing.Scoring == ExpertScoring.Softmax ? logits.softmax(-1) : logits.sigmoid();
        var (_, ids) = Candidates(scores, bias, routing).topk(routing.PerToken);
        var weights = scores.gather(1, ids);
        if (routing.NormalizesWeights)
            weights /= weights.sum(-1, keepdim: true).Plus(MinSum);
        return new(ids, weights.Times(routing.WeightScale));
    }

    /// <inheritdoc/>
    public Tensor Sum(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts)
    {
        var sum = zeros([x.size(0), x.size(1)], ScalarType.Float32, x.device);
        using var scope = NewDisposeScope();
        var flat = weights.view(-1);
        for (var expert = experts.First; expert < experts.First + experts.Count; expert++)
        {
            var (tokens, places) = groups.Of(expert);
            if (tokens.IsEmpty)
                continue;
            using var inner = NewDisposeScope();
            var rows = tensor(tokens.ToArray(), device: x.device);
            var result = experts.Forward(expert, x.index_select(0, rows)).to(ScalarType.Float32);
            sum.IndexAddInPlace(rows, result * flat.index_select(0, tensor(places.ToArray(), device: x.device)).unsqueeze(1));
        }

        return sum;
    }

    // Scores for the choice of experts; -inf for experts in groups that were not chosen.
    private static Tensor Candidates(Tensor scores, Tensor? bias, ExpertRouting routing)
    {
        var candidates = bias is null ? scores : scores.Plus(bias);
        if (routing.GroupsPerToken == routing.Groups)
            return candidates;
        var groups = candidates.view(scores.size(0), routing.Groups, -1); // [tokens, groups, experts of a group]
        var best = routing.Choice == ExpertChoice.NoAuxiliaryLoss ? groups.topk(2).values.sum(-1) : groups.amax([-1]);
        var (_, chosen) = best.topk(routing.GroupsPerToken); // [tokens, groups per token]
        var left = ones_like(best, ScalarType.Bool).scatter_(1, chosen, zeros_like(chosen, ScalarType.Bool)); // [tokens, groups]
        return groups.MaskedFill(left.unsqueeze(2), float.NegativeInfinity).view(scores.size(0), -1);
    }
}
