using LocalLlm.Samples.Rag.Search;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Search;

public sealed class LateInteractionTests
{
    [Fact]
    public void Any_number_of_tokens_of_any_width_gives_the_mean_of_the_best_matches()
    {
        var random = new Random(5);
        for (var round = 0; round < 300; round++)
        {
            var (width, queryTokens, textTokens) = (random.Next(1, 70), random.Next(1, 12), random.Next(1, 12));
            var (query, text) = (Numbers(random, queryTokens * width), Numbers(random, textTokens * width));
            var wanted = Enumerable.Range(0, queryTokens).Average(i => Enumerable.Range(0, textTokens).Max(j => Enumerable.Range(0, width).Sum(k => (double)query[(i * width) + k] * text[(j * width) + k])));
            Assert.Equal(wanted, LateInteraction.Score(query, text, width), 4);
        }
    }

    [Fact]
    public void A_text_without_tokens_matches_nothing() => Assert.Equal(0, LateInteraction.Score([1, 2], [], 2) + LateInteraction.Score([], [1, 2], 2) + LateInteraction.Score([], [], 0));

    private static float[] Numbers(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 2) - 1)];
}
