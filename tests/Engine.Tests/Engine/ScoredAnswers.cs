using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// How likely one engine finds the responses of another engine, token by token. If the engine generated its own responses, they would
/// diverge for good at the first near tie. These log-probabilities differ at every token, but only by rounding; they differ by much only at
/// the few tokens for which a router chooses other experts at a near tie.
/// </summary>
internal static class ScoredAnswers
{
    /// <summary>
    /// The largest gap at which responses may diverge where ranks share experts. A token's place in the step decides how its sum is
    /// rounded, and 8-bit activations amplify the difference. At a near tie of the router, responses to these requests diverge with gaps of
    /// 4 to 5, even on one CPU that rounds some sums the other way. Where tokens are lost, or computed by the wrong experts, the gaps are
    /// 14 and more.
    /// </summary>
    public const double FarthestRouterTie = 8;

    // Requests per batch. There are several batches, so that experts change ranks between the first and the last; each batch is more than
    // one block of the GPU's kernels sorts.
    private const int AtOnce = 12;

    // Two ranks on a CPU whose activations become 8-bit floats, as on a GPU, come to at most 0.008. They come to 0.04 and more if copies of
    // experts compute nothing, or if a rank uses the places from before the last move.
    private const double MaxMean = 0.025;

    /// <summary>Fails unless the engine's log-probabilities of the responses' tokens are about the expected ones.</summary>
    /// <param name="engine">Computes the log-probabilities.</param>
    /// <param name="expected">The responses, with their log-probabilities.</param>
    /// <param name="cancellationToken">Cancels the computation.</param>
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
