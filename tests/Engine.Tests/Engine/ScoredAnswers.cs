using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// How likely an engine finds the answers of another one, token by token. Answers of its own part for good at the first near tie; these
/// differ at every token by rounding, and by much at the few for which a router chooses other experts at a near tie.
/// </summary>
internal static class ScoredAnswers
{
    /// <summary>
    /// How far answers part where ranks share experts. A token's place in the step says how its sum is rounded, and 8-bit activations make
    /// more of that: at a near tie of the router answers to these requests part by 4 to 5, also on one CPU that rounds some sums the other
    /// way. Where tokens are lost, or computed by other experts, they part by 14 and more.
    /// </summary>
    public const double FarthestRouterTie = 8;

    // So that experts change ranks between the first and the last, and a batch is more than one block of the GPU's kernels sorts.
    private const int AtOnce = 12;

    // Two ranks on a CPU whose activations become 8-bit floats, as a GPU's do, come to 0.008 at most. They come to 0.04 and more where
    // copies of experts compute nothing, or where a rank goes by the places before the last move.
    private const double MaxMean = 0.025;

    /// <summary>Fails unless log-probabilities of the tokens of some answers are about the expected ones.</summary>
    /// <param name="engine">What judges them.</param>
    /// <param name="expected">Answers with log-probabilities.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task AssertAsLikelyAsync(LlmEngine engine, IReadOnlyList<GenerationResult> expected, CancellationToken cancellationToken)
    {
        var distances = new List<double>();
        foreach (var part in expected.Chunk(AtOnce))
        {
            var scored = await engine.GenerateBatchAsync([.. part.Select(Scored)], cancellationToken: cancellationToken);
            foreach (var (one, other) in part.Zip(scored))
            {
                Assert.Null(other.Error);
                var judged = other.PromptLogprobs!.Skip(one.PromptTokenIds.Count);
                distances.AddRange(one.Outputs[0].Logprobs!.Zip(
                    judged, (token, same) => (double)Math.Abs(token!.Chosen.Logprob - same!.Chosen.Logprob)));
            }
        }

        Assert.True(
            distances.Average() <= MaxMean,
            $"{distances.Count} tokens are off by {distances.Average():F4} on average, {distances.Max():F2} at most; wanted {MaxMean} on average");
    }

    private static GenerationRequest Scored(GenerationResult answer) => GenerationRequest.FromTokenIds(
        [.. answer.PromptTokenIds, .. answer.Outputs[0].TokenIds], CudaEngineTests.Greedy(1) with { PromptLogprobs = 0 });
}
