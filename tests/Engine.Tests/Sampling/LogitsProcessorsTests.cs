using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class LogitsProcessorsTests
{
    private const float Forbidden = float.NegativeInfinity;

    [Fact]
    public void Without_processors_nothing_is_active() => Assert.False(LogitsProcessors.AreActive(SamplingKit.State(new SamplingParams(), 10)));

    // For rows that take the best token, ranks gather nothing else. So that token must be the sampler's choice, and all that the request
    // wants.
    [Fact]
    public void The_best_token_is_taken_exactly_where_nothing_changes_or_reports_logits_and_nothing_is_drawn()
    {
        var plain = SamplingParams.Greedy with { MaxTokens = 30, StopTokenIds = [4] };
        Func<SamplingParams, SamplingParams>[] changes =
        [
            request => request with { Temperature = 0.7 }, request => request with { Logprobs = 0 }, request => request with { MinTokens = 3 },
            request => request with { RepetitionPenalty = 1.1 }, request => request with { FrequencyPenalty = 0.1 }, request => request with { PresencePenalty = -0.1 },
            request => request with { LogitBias = new Dictionary<int, double> { [1] = 0 } }, request => request with { AllowedTokenIds = [1, 2] },
            request => request with { BadWords = ["a"] },
        ];
        var taken = 0;
        for (var set = 0; set < 1 << changes.Length; set++)
        {
            var request = changes.Where((_, index) => (set >> index & 1) == 1).Aggregate(plain, (before, change) => change(before));
            foreach (var length in (int[])[0, 2, 3, 9])
            {
                var state = SamplingKit.State(request, 40, output: [.. Enumerable.Repeat(7, length)]);
                var takes = state.Sampling.TakesBest(length);
                Assert.Equal(state.Sampling.IsGreedy && request.Logprobs is null && !LogitsProcessors.AreActive(state), takes);
                taken += takes ? 1 : 0;
            }
        }

        Assert.Equal(4 + 2, taken); // four lengths without a change, and two beyond min_tokens
    }

    [Fact]
    public void Penalties_follow_their_formulas_over_prompt_and_output()
    {
        var random = new Random(3);
        for (var trial = 0; trial < SamplingKit.Fuzz(100); trial++)
        {
            const int length = 300;
            var row = SamplingKit.Row(random, length);
            var prompt = Enumerable.Range(0, random.Next(400)).Select(_ => random.Next(length)).ToArray();
            var output = Enumerable.Range(0, random.Next(400)).Select(_ => random.Next(length)).ToArray();
            var request = new SamplingParams
            {
                RepetitionPenalty = random.Next(3) == 0 ? 1 : 0.5 + random.NextDouble(),
                FrequencyPenalty = random.Next(3) == 0 ? 0 : random.NextDouble() * 4 - 2,
                PresencePenalty = random.Next(3) == 0 ? 0 : random.NextDouble() * 4 - 2,
            };
            var processed = Apply(row, SamplingKit.State(request, length, prompt: prompt, output: output));
            for (var id = 0; id < length; id++)
            {
                double expected = row[id];
                var count = output.Count(token => token == id);
                if (count > 0 || prompt.Contains(id))
                    expected = expected > 0 ? expected / request.RepetitionPenalty.Value : expected * request.RepetitionPenalty.Value;
                expected -= request.FrequencyPenalty * count;
                expected -= count > 0 ? request.PresencePenalty : 0;
                Assert.Equal(expected, processed[id], 1e-5 * Math.Max(1, Math.Abs(expected == Forbidden ? 0 : expected)));
            }
        }
    }

    [Theory]
    [InlineData(1e-37)]
    [InlineData(3e38)]
    public void Legal_penalties_and_biases_never_make_a_row_non_finite(double repetition)
    {
        float[] row = [1e30f, -1e30f, 0, -0f, Forbidden, 1e-30f, float.MaxValue, float.MinValue];
        var request = new SamplingParams
        {
            RepetitionPenalty = repetition, FrequencyPenalty = 2, LogitBias = Enumerable.Range(0, 8).ToDictionary(i => i, i => i % 2 == 0 ? 100.0 : -100),
        };
        var processed = Apply(row, SamplingKit.State(request, 8, prompt: [0, 1, 2, 3, 4, 5, 6, 7], output: [0, 1, 2, 3, 4, 5, 6, 7]));
        for (var i = 0; i < row.Length; i++)
            Assert.Equal(row[i] == Forbidden, !float.IsFinite(processed[i]));
    }

    [Fact]
    public void A_prompt_token_beyond_the_row_is_ignored() =>
        Assert.Equal([0.5f, 1f], Apply([1, 1], SamplingKit.State(new SamplingParams { RepetitionPenalty = 2 }, 2, prompt: [0, 77, -1])));

    [Fact]
    public void Allowed_tokens_and_the_grammar_mask_both_bind()
    {
        var state = SamplingKit.State(new SamplingParams { AllowedTokenIds = [1, 33, 34, 69] }, 70);
        Assert.Equal([1, 33, 34, 69], Allowed(state));
        state.AllowedMask = new uint[] { uint.MaxValue, 0b010 };
        Assert.Equal([1, 33], Allowed(state));
        state.AllowedMask = new uint[] { uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue };
        Assert.Equal([1, 33, 34, 69], Allowed(state));
        state.AllowedMask = default;
        Assert.Equal([1, 33, 34, 69], Allowed(state));

        var free = SamplingKit.State(new SamplingParams(), 70);
        free.AllowedMask = new uint[] { 1u << 31, 1, 0b100000 };
        Assert.Equal([31, 32, 69], Allowed(free));

        static int[] Allowed(SamplingState state)
        {
            var row = Apply(new float[70], state);
            return [.. Enumerable.Range(0, 70).Where(i => row[i] == 0)];
        }
    }

    [Fact]
    public void A_bad_words_last_token_is_banned_where_the_output_ends_in_the_rest()
    {
        var sampling = SamplingValidator.Validate(
            new SamplingParams { BadWords = ["one", "three"] },
            SamplingKit.Context(20) with { Tokenize = (text, _) => text.TrimStart() == "one" ? [3] : [5, 6, 7] });
        int[] Banned(params int[] output)
        {
            var row = Apply(new float[20], new SamplingState(sampling, 0, 0, [5, 6], output));
            return [.. Enumerable.Range(0, 20).Where(i => row[i] == Forbidden)];
        }

        Assert.Equal([3], Banned());
        Assert.Equal([3], Banned(6));
        Assert.Equal([3], Banned(5));
        Assert.Equal([3, 7], Banned(5, 6));
        Assert.Equal([3, 7], Banned(1, 2, 5, 5, 6));
        Assert.Equal([3], Banned(5, 6, 1));
    }

    [Fact]
    public void End_and_stop_tokens_are_banned_until_min_tokens_even_with_ignore_eos()
    {
        var state = SamplingKit.State(new SamplingParams { MinTokens = 2, StopTokenIds = [5], IgnoreEos = true }, 10);
        for (var length = 0; length < 4; length++)
        {
            var row = Apply(new float[10], state);
            Assert.Equal(length < 2, row[2] == Forbidden && row[5] == Forbidden);
            Assert.Equal(length < 2 ? 2 : 0, row.Count(float.IsInfinity));
            state.Append(1);
        }
    }

    [Fact]
    public void Bias_comes_before_the_penalties_and_cannot_free_a_forbidden_token()
    {
        var request = new SamplingParams
        {
            LogitBias = new Dictionary<int, double> { [0] = 3, [1] = 100, [2] = 100, [3] = 100 }, RepetitionPenalty = 2, AllowedTokenIds = [0, 2, 3],
            BadWords = ["w"], MinTokens = 1,
        };
        var sampling = SamplingValidator.Validate(request, SamplingKit.Context(10) with { Tokenize = (_, _) => [3] });
        Assert.Equal([(-1f + 3) / 2, Forbidden, Forbidden, Forbidden], Apply([-1, 0, 0, 0, 0, 0, 0, 0, 0, 0], new SamplingState(sampling, 0, 0, [0]))[..4]);
    }

    [Fact]
    public void Counts_are_those_of_a_dictionary_however_many_tokens_there_are()
    {
        var random = new Random(4);
        var counts = new TokenCounts();
        var expected = new Dictionary<int, int>();
        for (var i = 0; i < 20_000; i++)
        {
            var id = random.Next(3) == 0 ? random.Next(152_064) : random.Next(100) << 12;
            if (random.Next(4) == 0)
            {
                counts.AddPrompt(id);
                expected.TryAdd(id, 0);
            }
            else
            {
                counts.AddOutput(id);
                expected[id] = expected.GetValueOrDefault(id) + 1;
            }
        }

        Assert.Equal(expected.OrderBy(pair => pair.Key), counts.Ids.ToArray().Zip(counts.Counts.ToArray(), KeyValuePair.Create).OrderBy(pair => pair.Key));
    }

    private static float[] Apply(float[] row, SamplingState state)
    {
        var processed = new float[row.Length];
        LogitsProcessors.Apply(row, processed, state);
        return processed;
    }
}
