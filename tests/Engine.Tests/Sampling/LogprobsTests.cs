using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class LogprobsTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(17)]
    [InlineData(1041)]
    [InlineData(5000)]
    public void Log_probabilities_order_and_ranks_are_those_of_a_sort(int length)
    {
        var random = new Random(length);
        var sampler = new Sampler(length);
        for (var trial = 0; trial < SamplingKit.Fuzz(25); trial++)
        {
            var row = SamplingKit.Row(random, length);
            var count = random.Next(4) switch { 0 => 0, 1 => length, _ => Math.Min(1 + random.Next(20), length) };
            var order = Enumerable.Range(0, length).OrderByDescending(id => row[id]).ThenBy(id => id).ToArray();
            var max = (double)row.Max();
            var logSum = Math.Log(row.Sum(x => Math.Exp(x - max))) + max;
            var chosen = random.Next(length);

            var read = sampler.PromptLogprobs(row, chosen, count);

            Assert.Equal(order.Take(count), read.Top.Select(top => top.TokenId));
            Assert.Equal(Enumerable.Range(1, count), read.Top.Select(top => top.Rank));
            Assert.Equal((chosen, Array.IndexOf(order, chosen) + 1), (read.Chosen.TokenId, read.Chosen.Rank));
            foreach (var token in read.Top.Append(read.Chosen))
            {
                Assert.Null(token.DecodedToken);
                Assert.Equal(row[token.TokenId] - logSum, token.Logprob, 2e-6 * Math.Max(1, Math.Abs(row[token.TokenId] - logSum)));
                if (token.TokenId == chosen)
                    Assert.Equal(read.Chosen, token);
            }
        }
    }

    [Fact]
    public void Raw_ones_ignore_processors_and_temperature_processed_ones_do_not()
    {
        float[] row = [1, 2, 3, 4];
        // Token 3 is biased away; at temperature 2 the rest is 0.5, 1, 1.5, of which top_k leaves two.
        var request = new SamplingParams { LogitBias = new Dictionary<int, double> { [3] = -100 }, Temperature = 2, TopK = 2, Seed = 1, Logprobs = 4 };
        var rawSum = Math.Log(row.Sum(x => Math.Exp(x)));
        var keptSum = Math.Log(Math.Exp(1) + Math.Exp(1.5));

        Check(LogprobsMode.RawLogprobs, [3, 2, 1, 0], [4 - rawSum, 3 - rawSum, 2 - rawSum, 1 - rawSum]);
        Check(LogprobsMode.RawLogits, [3, 2, 1, 0], [4, 3, 2, 1]);
        Check(LogprobsMode.ProcessedLogprobs, [2, 1, 0, 3], [1.5 - keptSum, 1 - keptSum, double.NegativeInfinity, double.NegativeInfinity]);
        Check(LogprobsMode.ProcessedLogits, [2, 1, 0, 3], [1.5, 1, double.NegativeInfinity, double.NegativeInfinity]);

        void Check(LogprobsMode mode, int[] ids, double[] values)
        {
            var sampled = new Sampler(4, mode).SampleRow(row, SamplingKit.State(request, 4));
            Assert.InRange(sampled.TokenId, 1, 2);
            Assert.Equal(ids, sampled.Logprobs!.Top.Select(top => top.TokenId));
            Assert.Equal(sampled.Logprobs.Chosen, sampled.Logprobs.Top.Single(top => top.TokenId == sampled.TokenId));
            foreach (var (value, top) in values.Zip(sampled.Logprobs.Top))
                Assert.Equal(value, top.Logprob, 1e-6);
        }
    }

    [Fact]
    public void Greedy_processed_ones_have_processors_but_no_temperature()
    {
        var request = SamplingParams.Greedy with { LogitBias = new Dictionary<int, double> { [0] = 1 }, Logprobs = 2 };
        var sampled = new Sampler(3, LogprobsMode.ProcessedLogits).SampleRow([1, 1, 0], SamplingKit.State(request, 3));
        Assert.Equal([2f, 1f], sampled.Logprobs!.Top.Select(top => top.Logprob));
    }

    [Fact]
    public void Zero_gives_the_chosen_token_alone_and_none_gives_nothing()
    {
        var sampled = new Sampler(3).SampleRow([1, 2, 0], SamplingKit.State(SamplingParams.Greedy with { Logprobs = 0 }, 3));
        Assert.Empty(sampled.Logprobs!.Top);
        Assert.Equal((1, 1), (sampled.Logprobs.Chosen.TokenId, sampled.Logprobs.Chosen.Rank));
        Assert.Null(new Sampler(3).SampleRow([1, 2, 0], SamplingKit.State(SamplingParams.Greedy, 3)).Logprobs);
    }

    [Fact]
    public void A_prompt_position_with_non_finite_logits_fails_its_request() =>
        Assert.Equal(EngineErrorKind.GenerationFailed, Assert.Throws<EngineException>(() => new Sampler(2).PromptLogprobs([0, float.NaN], 0, 1)).Kind);
}
