using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Chooses the experts of each token; the same on every rank. Scores are float32.</summary>
internal sealed class ExpertRouter
{
    private readonly LayerContext _context;
    private readonly ExpertRouting _routing;
    private readonly LoadedWeight<LinearWeight> _weight;
    private readonly LoadedWeight<Tensor>? _bias;

    /// <summary>
    /// Registers <c>prefix.weight</c> [experts, hidden] and, where the choice has one, <c>prefix.e_score_correction_bias</c> [experts].
    /// </summary>
    public ExpertRouter(LayerContext context, string prefix, int hiddenSize, ExpertRouting routing)
    {
        (_context, _routing) = (context, routing);
        var type = WeightType.Converted(ScalarType.Float32);
        _weight = context.Weights.Add(
            WeightSpec.Whole($"{prefix}.weight", routing.Count, hiddenSize) with { Type = type },
            tensor => context.Ops.PackLinear(tensor, null, LinearRole.Router));
        if (routing.Choice == ExpertChoice.NoAuxiliaryLoss)
        {
            var spec = WeightSpec.Whole($"{prefix}.e_score_correction_bias", routing.Count) with { Type = type };
            _bias = context.Weights.Add(spec, context.Ops.ToDevice);
        }
    }

    /// <summary>[tokens, hidden] → the experts of each token.</summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="joinsShared">As in <see cref="IExpertOps.Route"/>.</param>
    public ExpertChoices Route(Tensor x, bool joinsShared = false)
    {
        var logits = _context.Experts.TryLogits(x, _weight.Value) ?? _context.Ops.Linear(x.to(ScalarType.Float32), _weight.Value);
        return _context.Experts.Route(logits, _bias?.Value, _routing, joinsShared);
    }
}
