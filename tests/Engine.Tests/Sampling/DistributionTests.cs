using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

/// <summary>
/// Compares draws with fixed seeds with exact probabilities. The draws are deterministic, so they meet the bound always or never.
/// </summary>
public class DistributionTests
{
    private static readonly double[] Probabilities = [0.3, 0.25, 0.2, 0.1, 0.08, 0.04, 0.02, 0.01];

    [Fact]
    public void Tokens_come_with_their_probabilities() => Check(new SamplingParams(), Probabilities);

    [Fact]
    public void Temperature_sharpens_and_flattens()
    {
        Check(new SamplingParams { Temperature = 0.5 }, [.. Probabilities.Select(p => p * p)]);
        Check(new SamplingParams { Temperature = 2 }, [.. Probabilities.Select(Math.Sqrt)]);
    }

    [Fact]
    public void Truncated_distributions_are_renormalised()
    {
        Check(new SamplingParams { TopK = 3 }, [0.3, 0.25, 0.2, 0, 0, 0, 0, 0]);
        Check(new SamplingParams { TopP = 0.8 }, [0.3, 0.25, 0.2, 0.1, 0, 0, 0, 0]);
        Check(new SamplingParams { MinP = 0.2 }, [0.3, 0.25, 0.2, 0.1, 0.08, 0, 0, 0]);
    }

    [Fact]
    public void A_wide_row_is_drawn_from_evenly_on_every_path()
    {
        const int vocabularySize = 9_000, groups = 20, draws = 1_000;
        var row = new float[vocabularySize];
        foreach (var request in new SamplingParams[] { new() { Seed = 1 }, new() { Seed = 1, TopP = 0.9999999 }, new() { Seed = 1, MinP = 0.5 } })
        {
            var counts = new double[groups];
            var sampler = new Sampler(vocabularySize);
            var state = SamplingKit.State(request, vocabularySize);
            for (var i = 0; i < draws; i++)
            {
                var token = sampler.SampleRow(row, state).TokenId;
                counts[token / (vocabularySize / groups)]++;
                state.Append(token);
            }

            Assert.InRange(ChiSquare(counts, [.. Enumerable.Repeat(1.0, groups)]), 3, 50);
        }
    }

    [Fact]
    public void The_sequences_of_a_request_are_independent_of_each_other()
    {
        const int draws = 10_000;
        var pairs = new double[4];
        var sampler = new Sampler(2);
        var first = SamplingKit.State(new SamplingParams { Seed = 5 }, 2, index: 0);
        var second = SamplingKit.State(new SamplingParams { Seed = 5 }, 2, index: 1);
        for (var i = 0; i < draws; i++)
        {
            var (a, b) = (sampler.SampleRow([0f, 0f], first).TokenId, sampler.SampleRow([0f, 0f], second).TokenId);
            pairs[a * 2 + b]++;
            first.Append(a);
            second.Append(b);
        }

        Assert.InRange(ChiSquare(pairs, [1, 1, 1, 1]), 0, 20);
    }

    private static void Check(SamplingParams request, double[] expected)
    {
        const int draws = 8_000;
        // The ids are in no order of probability, among others that are all but impossible.
        var vocabularySize = 50;
        var row = Enumerable.Repeat(-200f, vocabularySize).ToArray();
        for (var i = 0; i < Probabilities.Length; i++)
            row[i * 23 % vocabularySize] = (float)Math.Log(Probabilities[i]);
        foreach (var seed in new long[] { 0, 42, long.MinValue })
        {
            var counts = new double[vocabularySize];
            var sampler = new Sampler(vocabularySize);
            var state = SamplingKit.State(request with { Seed = seed }, vocabularySize);
            for (var i = 0; i < draws; i++)
            {
                var token = sampler.SampleRow(row, state).TokenId;
                counts[token]++;
                state.Append(token);
            }

            var seen = Enumerable.Range(0, expected.Length).Select(i => counts[i * 23 % vocabularySize]).ToArray();
            Assert.Equal(draws, seen.Sum());
            // With at most 7 degrees of freedom, one in ten thousand values lies beyond 30.
            Assert.InRange(ChiSquare(seen, expected), 0, 30);
        }
    }

    private static double ChiSquare(double[] counts, double[] shares)
    {
        var sum = 0.0;
        for (var i = 0; i < counts.Length; i++)
        {
            var expected = shares[i] / shares.Sum() * counts.Sum();
            if (expected == 0)
                Assert.Equal(0, counts[i]);
            else
                sum += Math.Pow(counts[i] - expected, 2) / expected;
        }

        return sum;
    }
}
