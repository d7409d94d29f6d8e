using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

/// <summary>Compares min_p, top_k and top_p with an oracle that sorts the whole row in double precision.</summary>
public class TruncationTests
{
    [Theory]
    [InlineData(1, 300)]
    [InlineData(5, 300)]
    [InlineData(16, 300)]
    [InlineData(17, 300)]
    [InlineData(1025, 200)]
    [InlineData(4096, 100)]
    [InlineData(30011, 30)]
    public void The_same_tokens_are_kept_as_by_sorting(int vocabularySize, int trials)
    {
        var random = new Random(vocabularySize);
        for (var trial = 0; trial < SamplingKit.Fuzz(trials); trial++)
        {
            var row = SamplingKit.Row(random, vocabularySize);
            var request = new SamplingParams
            {
                Temperature = random.Next(3) == 0 ? 1 : 0.01 + random.NextDouble() * 1.99,
                TopK = random.Next(3) switch { 0 => 0, 1 => 1 + random.Next(60), _ => 1 + random.Next(vocabularySize) },
                TopP = random.Next(3) switch { 0 => 1, 1 => 0.95, _ => 1 - random.NextDouble() },
                MinP = random.Next(3) == 0 ? Math.Pow(random.NextDouble(), 4) : 0,
                MaxTokens = 10,
            };
            Check(row, request, random.NextDouble());
        }
    }

    [Theory]
    [InlineData(0.25, 1)]
    [InlineData(0.26, 2)]
    [InlineData(0.5, 2)]
    [InlineData(0.75, 3)]
    [InlineData(0.7500001, 4)]
    [InlineData(1e-300, 1)]
    public void Among_equals_top_p_keeps_as_few_as_reach_it_lower_ids_first(double topP, int expected)
    {
        float[] row = [-50, 3, -50, 3, 3, float.NegativeInfinity, 3];
        var kept = Kept(row, new SamplingParams { TopP = topP }, 0.5);
        Assert.Equal(new[] { 1, 3, 4, 6 }.Take(expected), kept);
    }

    [Fact]
    public void Top_k_keeps_every_token_that_equals_the_kth()
    {
        float[] row = [1, 3, 2, 2, 2, 0];
        Assert.Equal([1], Kept(row, new SamplingParams { TopK = 1 }, 0.5));
        Assert.Equal([1, 2, 3, 4], Kept(row, new SamplingParams { TopK = 2 }, 0.5));
        Assert.Equal([1, 2, 3, 4], Kept(row, new SamplingParams { TopK = 4 }, 0.5));
        Assert.Equal([0, 1, 2, 3, 4], Kept(row, new SamplingParams { TopK = 5 }, 0.5));
    }

    [Fact]
    public void Both_zeros_are_one_value() => Assert.Equal([0, 1, 2], Kept([0f, -0f, 0f, -1f], new SamplingParams { TopK = 1 }, 0.5));

    [Fact]
    public void Top_p_counts_the_probability_that_min_p_and_top_k_left()
    {
        // Probabilities 0.4, 0.3, 0.2, 0.1; after top_k 2 they are 4/7 and 3/7.
        float[] row = [.. new[] { 0.4, 0.3, 0.2, 0.1 }.Select(p => (float)Math.Log(p))];
        Assert.Equal([0, 1], Kept(row, new SamplingParams { TopP = 0.5 }, 0.5));
        Assert.Equal([0], Kept(row, new SamplingParams { TopP = 0.5, TopK = 2 }, 0.5));
        Assert.Equal([0], Kept(row, new SamplingParams { TopP = 0.5, MinP = 0.7 }, 0.5));
    }

    [Fact]
    public void Min_p_is_relative_to_the_best_token_after_temperature()
    {
        float[] row = [.. new[] { 0.4, 0.2, 0.1, 0.05 }.Select(p => (float)Math.Log(p))];
        Assert.Equal([0, 1], Kept(row, new SamplingParams { MinP = 0.4 }, 0.5));
        Assert.Equal([0, 1, 2], Kept(row, new SamplingParams { MinP = 0.4, Temperature = 2 }, 0.5));
        Assert.Equal([0], Kept(row, new SamplingParams { MinP = 0.4, Temperature = 0.5 }, 0.5));
        Assert.Equal([0], Kept(row, new SamplingParams { MinP = 1 }, 0.5));
        Assert.Equal([0, 1], Kept([0, (float)Math.Log(0.5), -1], new SamplingParams { MinP = 0.5 }, 0.5));
    }

    [Theory]
    [InlineData(30011, 1)]
    [InlineData(30011, 2)]
    public void Flat_rows_are_cut_exactly_too(int vocabularySize, int distinctValues)
    {
        var row = Enumerable.Range(0, vocabularySize).Select(i => 7f + (i % distinctValues) * 1e-3f).ToArray();
        foreach (var topP in new[] { 0.1, 0.5, 0.9, 0.999 })
            Check(row, new SamplingParams { TopP = topP }, 0.3);
    }

    [Fact]
    public void The_draw_is_always_one_of_the_kept_even_at_the_ends_of_the_range()
    {
        var random = new Random(5);
        foreach (var length in new[] { 1, 16, 1025, 20011 })
        {
            for (var trial = 0; trial < Math.Clamp(5000 / length, 2, 20); trial++)
            {
                var row = SamplingKit.Row(random, length);
                foreach (var uniform in new[] { 0, double.Epsilon, 1 - Math.Pow(2, -53) })
                {
                    Check(row, new SamplingParams(), uniform);
                    Check(row, new SamplingParams { TopP = 0.9 }, uniform);
                    Check(row, new SamplingParams { MinP = 0.001 }, uniform);
                }
            }
        }
    }

    [Fact]
    public void Extreme_logits_are_drawn_from_without_overflow()
    {
        Check([float.MaxValue, float.MinValue, 0], new SamplingParams { Temperature = 0.01, TopP = 0.9 }, 0.999);
        Check([float.MinValue, float.MinValue, float.NegativeInfinity], new SamplingParams { Temperature = 2, MinP = 0.1 }, 0.999);
        Check([float.MaxValue, float.MaxValue, float.Epsilon], new SamplingParams { Temperature = 2, TopK = 2 }, 0.999);
    }

    private static int[] Kept(float[] row, SamplingParams request, double uniform) => Check(row, request, uniform);

    private static int[] Check(float[] row, SamplingParams request, double uniform)
    {
        var sampling = SamplingKit.Validated(request, row.Length);
        var scratch = new SamplerScratch(row.Length);
        scratch.RawScan.Scan(row);
        Assert.True(scratch.RawScan.IsValid);
        var token = Categorical.Draw(row, scratch.RawScan, sampling, uniform, scratch, out var cut);
        Assert.InRange(token, 0, row.Length - 1);
        Assert.True(cut.Keeps(row[token], token) && row[token] > float.NegativeInfinity);

        var kept = Enumerable.Range(0, row.Length).Where(id => cut.Keeps(row[id], id) && row[id] > float.NegativeInfinity).ToArray();
        var (sure, unsure) = Oracle(row, sampling);
        Assert.All(kept, id => Assert.True(sure.Contains(id) || unsure.Contains(id), $"token {id} must not be kept: {request}"));
        Assert.Empty(sure.Except(kept));
        return kept;
    }

    /// <summary>The tokens to keep, and those too close to a bound for float32 weights to decide.</summary>
    private static (HashSet<int> Sure, HashSet<int> Unsure) Oracle(float[] row, ValidatedSampling sampling)
    {
        const double tolerance = 1e-5;
        var order = Enumerable.Range(0, row.Length).Where(id => row[id] > float.NegativeInfinity)
            .OrderByDescending(id => row[id]).ThenBy(id => id).ToArray();
        var max = (double)row[order[0]];
        var unsure = new HashSet<int>();
        double Relative(int id) => Math.Exp((row[id] - max) / sampling.Temperature);

        // Tokens are ordered by logit, so each filter keeps the first part of the order.
        var count = order.Length;
        if (sampling.MinP > 0)
        {
            unsure.UnionWith(order.Where(id => Math.Abs(Relative(id) - sampling.MinP) <= tolerance * sampling.MinP));
            count = order.Count(id => Relative(id) >= sampling.MinP);
        }

        if (sampling.TopK > 0 && sampling.TopK < count)
            count = Math.Min(count, order.Count(id => row[id] >= row[order[sampling.TopK - 1]]));
        var survivors = order[..Math.Max(count, 1)];
        if (sampling.TopP >= 1)
            return ([.. survivors], unsure);

        var total = survivors.Sum(Relative);
        // A token that min_p may or may not have kept changes the sum that top_p is a fraction of.
        var slack = unsure.Sum(Relative);
        var before = 0.0;
        var sure = new HashSet<int>();
        foreach (var id in survivors)
        {
            // Equal logits make the sums exact, up to the rounding of p itself.
            if (Math.Abs(before - sampling.TopP * total) <= slack + tolerance * total * (row[id] == row[order[0]] ? 1e-9 : 1))
                unsure.Add(id);
            else if (before < sampling.TopP * total)
                sure.Add(id);
            before += Relative(id);
        }

        return (sure, unsure);
    }
}
