using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class SamplerTests
{
    private static readonly SamplingParams Greedy = SamplingParams.Greedy;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(33)]
    [InlineData(1023)]
    [InlineData(1024)]
    [InlineData(1041)]
    [InlineData(4096)]
    public void Greedy_takes_the_largest_logit_wherever_it_is_and_the_lowest_id_among_equals(int length)
    {
        var random = new Random(length);
        var sampler = new Sampler(length);
        var state = SamplingKit.State(Greedy, length);
        for (var trial = 0; trial < SamplingKit.Fuzz(200); trial++)
        {
            var row = SamplingKit.Row(random, length);
            Assert.Equal(Array.IndexOf(row, row.Max()), sampler.SampleRow(row, state).TokenId);
        }

        for (var i = 0; i < length; i++)
        {
            var row = new float[length];
            row[i] = 1;
            Assert.Equal(i, sampler.SampleRow(row, state).TokenId);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void One_bad_logit_anywhere_fails_its_row_alone(float bad)
    {
        foreach (var length in new[] { 1, 17, 1024, 1041 })
        {
            var sampler = new Sampler(length);
            foreach (var request in new[] { Greedy, new SamplingParams { TopP = 0.9 }, Greedy with { AllowedTokenIds = [0] } })
            {
                for (var i = 0; i < length; i += Math.Max(1, length / 40))
                {
                    var row = new float[length];
                    row[i] = bad;
                    var sampled = sampler.SampleRow(row, SamplingKit.State(request, length));
                    Assert.Equal((-1, SampleError.NonFiniteLogits), (sampled.TokenId, sampled.Error));
                    row[i] = 0;
                    Assert.Equal(SampleError.None, sampler.SampleRow(row, SamplingKit.State(request, length)).Error);
                }
            }
        }

        var negativeNaN = BitConverter.UInt32BitsToSingle(0xFFC0_0000);
        Assert.Equal(SampleError.NonFiniteLogits, new Sampler(2).SampleRow([1, negativeNaN], SamplingKit.State(Greedy, 2)).Error);
    }

    [Fact]
    public void A_row_without_any_token_left_is_an_error_that_says_why()
    {
        var sampler = new Sampler(20);
        var nothing = Enumerable.Repeat(float.NegativeInfinity, 20).ToArray();
        var masked = SamplingKit.State(Greedy, 20);
        masked.AllowedMask = new uint[1];
        Assert.Equal(SampleError.NonFiniteLogits, sampler.SampleRow(nothing, SamplingKit.State(Greedy, 20)).Error);
        var sampled = sampler.SampleRow(new float[20], masked);
        Assert.Equal(SampleError.NoTokenAllowed, sampled.Error);
        Assert.Equal(EngineErrorKind.GenerationFailed, sampled.ToFailure()!.Kind);
        Assert.Contains("non-finite logits", SampledToken.Failed(SampleError.NonFiniteLogits).ToFailure()!.Message, StringComparison.Ordinal);
        Assert.Null(sampler.SampleRow(new float[20], SamplingKit.State(Greedy, 20)).ToFailure());
    }

    [Fact]
    public void Forbidden_padding_of_the_vocabulary_is_never_drawn()
    {
        var row = Enumerable.Range(0, 2000).Select(i => i % 2 == 0 ? 0f : float.NegativeInfinity).ToArray();
        var sampler = new Sampler(2000);
        foreach (var request in new SamplingParams[] { new(), new() { TopP = 0.99 }, new() { TopK = 1999 }, new() { MinP = 0.1 } })
        {
            var state = SamplingKit.State(request with { Seed = 3 }, 2000);
            for (var i = 0; i < 200; i++)
            {
                var token = sampler.SampleRow(row, state).TokenId;
                Assert.Equal(0, token % 2);
                state.Append(token);
            }
        }
    }

    [Fact]
    public void A_seeded_request_draws_the_same_alone_in_a_batch_of_64_and_after_preemption()
    {
        const int vocabularySize = 1500, steps = 20;
        var request = new SamplingParams { Seed = 1234567890123, TopP = 0.9, Temperature = 0.8, FrequencyPenalty = 0.5, RepetitionPenalty = 1.2, MaxTokens = 100 };
        int[] prompt = [5, 9, 5];
        var alone = Run(request, batch: 1, slot: 0, preemptAt: -1);
        Assert.Equal(alone, Run(request, batch: 64, slot: 17, preemptAt: -1));
        Assert.Equal(alone, Run(request, batch: 64, slot: 63, preemptAt: -1, parallel: true));
        Assert.Equal(alone, Run(request, batch: 3, slot: 1, preemptAt: 11));
        Assert.NotEqual(alone, Run(request with { Seed = 1234567890124 }, batch: 1, slot: 0, preemptAt: -1));
        // Seeds that agree in their low 32 bits are different seeds.
        Assert.NotEqual(alone, Run(request with { Seed = 1234567890123 ^ (1L << 40) }, batch: 1, slot: 0, preemptAt: -1));

        int[] Run(SamplingParams ours, int batch, int slot, int preemptAt, bool parallel = false)
        {
            var sampler = new Sampler(vocabularySize);
            var states = new SamplingState[batch];
            for (var i = 0; i < batch; i++)
                states[i] = SamplingKit.State(i == slot ? ours : new SamplingParams { Seed = i, TopK = i }, vocabularySize, index: i == slot ? 0 : i, prompt);
            var tokens = new List<int>();
            for (var step = 0; step < steps; step++)
            {
                var results = new SampledToken[batch];
                var random = new Random(step);
                var row = Enumerable.Range(0, vocabularySize).Select(_ => (float)(random.NextDouble() * 8)).ToArray();
                Sample(sampler, [.. Enumerable.Range(0, batch).Select(i => i == slot ? row : SamplingKit.Row(new Random(i), vocabularySize))], states, results, parallel);
                tokens.Add(results[slot].TokenId);
                for (var i = 0; i < batch; i++)
                    states[i].Append(results[i].TokenId);
                if (step == preemptAt)
                    states[slot] = new SamplingState(states[slot].Sampling, 0, drawnSeed: 1, prompt, [.. tokens]);
            }

            return [.. tokens];
        }
    }

    [Fact]
    public void The_sequences_of_one_request_differ_and_an_unseeded_one_uses_the_drawn_seed()
    {
        Assert.NotEqual(Draws(new SamplingParams { Seed = 7 }, 0, 1), Draws(new SamplingParams { Seed = 7 }, 1, 1));
        Assert.Equal(Draws(new SamplingParams { Seed = 7 }, 1, 1), Draws(new SamplingParams { Seed = 7 }, 1, 2));
        Assert.NotEqual(Draws(new SamplingParams(), 0, 1), Draws(new SamplingParams(), 0, 2));
        Assert.Equal(Draws(new SamplingParams { Seed = 2 }, 0, 1), Draws(new SamplingParams { Seed = -1 }, 0, 2));

        static int[] Draws(SamplingParams request, int index, ulong drawnSeed)
        {
            var sampler = new Sampler(100);
            var state = new SamplingState(SamplingKit.Validated(request), index, drawnSeed, []);
            return [.. Enumerable.Range(0, 20).Select(_ =>
            {
                var token = sampler.SampleRow(new float[100], state).TokenId;
                state.Append(token);
                return token;
            })];
        }
    }

    [Fact]
    public void Errors_and_log_probabilities_stay_in_their_row_of_a_batch_with_a_stride()
    {
        var states = new[] { Greedy, Greedy with { Logprobs = 1 }, new SamplingParams { Seed = 1 } }.Select(p => SamplingKit.State(p, 20)).ToArray();
        var rows = new[] { new float[20], new float[20], new float[20] };
        rows[0][3] = float.NaN;
        rows[1][4] = 1;
        rows[2][5] = 100;
        var results = new SampledToken[3];
        Sample(new Sampler(20), rows, states, results, parallel: false);
        Assert.Equal([-1, 4, 5], results.Select(result => result.TokenId));
        Assert.Equal(4, results[1].Logprobs!.Chosen.TokenId);
        Assert.Null(results[2].Logprobs);
    }

    [Fact]
    public void Logits_are_not_changed()
    {
        var row = SamplingKit.Row(new Random(1), 500);
        var copy = row.ToArray();
        var request = new SamplingParams { RepetitionPenalty = 2, AllowedTokenIds = [1, 2, 3], TopP = 0.5, Logprobs = 3 };
        new Sampler(500, LogprobsMode.ProcessedLogprobs).SampleRow(row, SamplingKit.State(request, 500, prompt: [1]));
        Assert.Equal(copy, row);
    }

    [Fact]
    public void A_row_of_another_width_is_a_bug_of_the_caller() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new Sampler(20).SampleRow(new float[19], SamplingKit.State(Greedy, 20)));

    [Fact]
    public void A_step_allocates_nothing()
    {
        const int vocabularySize = 20_000;
        var row = SamplingKit.Row(new Random(1), vocabularySize);
        var requests = new SamplingParams[]
        {
            Greedy, new(), new() { TopP = 0.9 }, new() { TopK = 40, TopP = 0.9, MinP = 0.01 }, new() { TopK = 15_000 },
            new() { RepetitionPenalty = 1.1, PresencePenalty = 1, LogitBias = new Dictionary<int, double> { [1] = 1 }, BadWords = ["ab", "c"], MinTokens = 5 },
            new() { AllowedTokenIds = [1, 2, 3] },
        };
        var sampler = new Sampler(vocabularySize);
        var states = requests.Select(request => SamplingKit.State(request with { Seed = 1 }, vocabularySize, prompt: [1, 2, 3])).ToArray();
        var results = new SampledToken[states.Length];
        Step();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 20; i++)
            Step();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Step()
        {
            for (var i = 0; i < states.Length; i++)
            {
                results[i] = sampler.SampleRow(row, states[i]);
                // Tokens that occurred before: counting new ones may double the table of counts.
                states[i].Append(i % 4);
            }
        }
    }

    private static void Sample(Sampler sampler, float[][] rows, SamplingState[] states, SampledToken[] results, bool parallel)
    {
        if (parallel)
            System.Threading.Tasks.Parallel.For(0, rows.Length, SampleRow);
        else
            Array.ForEach([.. Enumerable.Range(0, rows.Length)], SampleRow);

        void SampleRow(int row) => results[row] = sampler.SampleRow(rows[row], states[row]);
    }
}
