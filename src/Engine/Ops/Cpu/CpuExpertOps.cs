using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>Mixtures of experts on the CPU. A token's choice is the same alone and in any batch.</summary>
internal sealed unsafe class CpuExpertOps : IExpertOps
{
    // Tokens that a thread is worth waking for.
    private const long MinTokensPerThread = 64;

    /// <inheritdoc/>
    public ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing)
    {
        var tokens = logits.size(0);
        var ids = empty([tokens, routing.PerToken], ScalarType.Int64);
        var weights = empty([tokens, routing.PerToken], ScalarType.Float32);
        var kernel = new RouterKernel
        {
            Scores = (float*)logits.DataPointer(),
            Bias = bias is null ? null : (float*)bias.DataPointer(),
            Ids = (long*)ids.DataPointer(),
            Weights = (float*)weights.DataPointer(),
            Experts = routing.Count,
            PerToken = routing.PerToken,
            Groups = routing.Groups,
            GroupsPerToken = routing.GroupsPerToken,
            Scoring = routing.Scoring,
            Choice = routing.Choice,
            Normalizes = routing.NormalizesWeights,
            WeightScale = routing.WeightScale,
        };
        CpuParallel.For(kernel, tokens, MinTokensPerThread);
        return new(ids, weights);
    }
}
