using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class SamplingValidatorTests
{
    private static readonly double[] NeverFinite = [double.NaN, double.PositiveInfinity, double.NegativeInfinity, 1e308, -1e308];

    public static TheoryData<string, double> OutsideValues()
    {
        var data = new TheoryData<string, double>();
        foreach (var (field, values) in new Dictionary<string, double[]>
        {
            ["temperature"] = [-1e-9, -1, 2.0000001, 100],
            ["top_p"] = [0, -0.0, -0.1, 1.0000001, 2],
            ["min_p"] = [-1e-9, 1.0000001],
            ["presence_penalty"] = [-2.0000001, 2.0000001],
            ["frequency_penalty"] = [-2.0000001, 2.0000001],
            // Finite as double, but not as the float32 that the logits are.
            ["repetition_penalty"] = [0, -0.0, -1, 1e39, 1e-46, 1e-40],
        })
        {
            foreach (var value in values.Concat(NeverFinite))
                data.Add(field, value);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(OutsideValues))]
    public void A_number_outside_of_its_range_is_refused(string field, double value)
    {
        var exception = SamplingKit.Refused(() => Validate(With(field, value)));
        Assert.Equal(field, exception.Parameter);
        Assert.StartsWith(field + ": given ", exception.Message, StringComparison.Ordinal);
        Assert.Contains(", allowed ", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("temperature", 0)]
    [InlineData("temperature", 2)]
    [InlineData("top_p", 1)]
    [InlineData("top_p", 1e-300)]
    [InlineData("min_p", 0)]
    [InlineData("min_p", 1)]
    [InlineData("presence_penalty", -2)]
    [InlineData("frequency_penalty", 2)]
    [InlineData("repetition_penalty", 1e-37)]
    [InlineData("repetition_penalty", 3e38)]
    public void The_ends_of_a_range_belong_to_it(string field, double value) => Validate(With(field, value));

    [Theory]
    [InlineData(0.0, 0.0, true)]
    [InlineData(1e-300, 0.01, false)]
    [InlineData(0.00999, 0.01, false)]
    [InlineData(0.01, 0.01, false)]
    [InlineData(0.5, 0.5, false)]
    public void Only_zero_is_greedy_and_small_temperatures_are_raised(double given, double expected, bool greedy)
    {
        var validated = Validate(new SamplingParams { Temperature = given, TopP = 0.5, TopK = 5, MinP = 0.1 });
        Assert.Equal((expected, greedy), (validated.Temperature, validated.IsGreedy));
        Assert.Equal(greedy ? (1, 0, 0) : (0.5, 5, 0.1), (validated.TopP, validated.TopK, validated.MinP));
    }

    [Fact]
    public void Minus_zero_is_zero() => Assert.True(Validate(new SamplingParams { Temperature = -0.0, MinP = -0.0 }).IsGreedy);

    [Theory]
    [InlineData(0, 1, true)]
    [InlineData(0, 2, false)]
    [InlineData(1, 0, false)]
    [InlineData(1, -1, false)]
    [InlineData(1, 16384, true)]
    [InlineData(1, 16385, false)]
    [InlineData(1, int.MaxValue, false)]
    [InlineData(1, int.MinValue, false)]
    public void N_is_one_when_greedy_and_bounded_otherwise(double temperature, int n, bool allowed) =>
        Check("n", new SamplingParams { Temperature = temperature, N = n }, allowed);

    [Fact]
    public void N_is_also_one_where_the_models_default_is_greedy()
    {
        var context = SamplingKit.Context() with { ModelDefaults = new ModelSamplingDefaults { Temperature = 0 } };
        Assert.Equal("n", SamplingKit.Refused(() => SamplingValidator.Validate(new SamplingParams { N = 2 }, context)).Parameter);
    }

    [Theory]
    [InlineData(-2, null)]
    [InlineData(int.MinValue, null)]
    [InlineData(-1, 0)]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(99, 99)]
    [InlineData(100, 0)]
    [InlineData(int.MaxValue, 0)]
    public void Top_k_is_off_for_zero_minus_one_and_the_whole_vocabulary(int given, int? expected)
    {
        if (expected is { } k)
            Assert.Equal(k, Validate(new SamplingParams { TopK = given }).TopK);
        else
            Check("top_k", new SamplingParams { TopK = given }, allowed: false);
    }

    [Theory]
    [InlineData(null, null)]
    [InlineData(-1L, null)]
    [InlineData(0L, 0L)]
    [InlineData(long.MinValue, long.MinValue)]
    [InlineData(long.MaxValue, long.MaxValue)]
    public void Seed_minus_one_is_none(long? given, long? expected) => Assert.Equal(expected, Validate(new SamplingParams { Seed = given }).Seed);

    [Theory]
    [InlineData(20, 20, 20)]
    [InlineData(20, 21, null)]
    [InlineData(20, 0, 0)]
    [InlineData(20, -1, null)]
    [InlineData(20, -2, null)]
    [InlineData(20, int.MinValue, null)]
    [InlineData(-1, -1, 100)]
    [InlineData(-1, 100, 100)]
    [InlineData(-1, 101, null)]
    [InlineData(-1, -2, null)]
    [InlineData(0, 0, 0)]
    [InlineData(0, 1, null)]
    public void Logprobs_are_capped_and_minus_one_is_all(int cap, int given, int? expected)
    {
        var context = SamplingKit.Context() with { MaxLogprobs = cap };
        foreach (var (field, request) in new[]
        {
            ("logprobs", new SamplingParams { Logprobs = given }), ("prompt_logprobs", new SamplingParams { PromptLogprobs = given }),
        })
        {
            if (expected is null)
            {
                Assert.Equal(field, SamplingKit.Refused(() => SamplingValidator.Validate(request, context)).Parameter);
                continue;
            }

            var validated = SamplingValidator.Validate(request, context);
            Assert.Equal(expected, field == "logprobs" ? validated.Logprobs : validated.PromptLogprobs);
        }
    }

    [Theory]
    [InlineData("stop_token_ids", -1, false)]
    [InlineData("stop_token_ids", 0, true)]
    [InlineData("stop_token_ids", 99, true)]
    [InlineData("stop_token_ids", 100, false)]
    [InlineData("stop_token_ids", int.MinValue, false)]
    [InlineData("allowed_token_ids", -1, false)]
    [InlineData("allowed_token_ids", 99, true)]
    [InlineData("allowed_token_ids", 100, false)]
    [InlineData("allowed_token_ids", int.MaxValue, false)]
    [InlineData("logit_bias", -1, false)]
    [InlineData("logit_bias", 99, true)]
    [InlineData("logit_bias", 100, false)]
    public void Token_ids_must_be_in_the_vocabulary(string field, int id, bool allowed) => Check(
        field,
        field switch
        {
            "stop_token_ids" => new SamplingParams { StopTokenIds = [5, id] },
            "allowed_token_ids" => new SamplingParams { AllowedTokenIds = [5, id] },
            _ => new SamplingParams { LogitBias = new Dictionary<int, double> { [id] = 1 } },
        },
        allowed);

    [Fact]
    public void Lists_of_token_ids_are_bounded_by_the_vocabulary()
    {
        var ids = Enumerable.Repeat(1, 101).ToArray();
        Check("stop_token_ids", new SamplingParams { StopTokenIds = ids }, allowed: false);
        Check("allowed_token_ids", new SamplingParams { AllowedTokenIds = ids }, allowed: false);
        Check("allowed_token_ids", new SamplingParams { AllowedTokenIds = [] }, allowed: false);
        Check("logit_bias", new SamplingParams { LogitBias = Enumerable.Range(0, 101).ToDictionary(i => i, _ => 1.0) }, allowed: false);
        var validated = Validate(new SamplingParams { AllowedTokenIds = [7, 3, 7], StopTokenIds = [9, 9] });
        Assert.Equal([3, 7], validated.AllowedTokenIds!);
        Assert.Equal([9], validated.StopTokenIds);
    }

    [Fact]
    public void Logit_biases_are_clamped_and_must_be_finite()
    {
        var validated = Validate(new SamplingParams { LogitBias = new Dictionary<int, double> { [9] = 1e9, [3] = -1e9, [4] = 0.5 } });
        Assert.Equal([3, 4, 9], validated.LogitBiasTokenIds);
        Assert.Equal([-100f, 0.5f, 100f], validated.LogitBiases);
        foreach (var value in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity })
            Check("logit_bias", new SamplingParams { LogitBias = new Dictionary<int, double> { [3] = value } }, allowed: false);
    }

    [Fact]
    public void Stop_strings_are_not_empty_bounded_and_need_text()
    {
        Check("stop", new SamplingParams { Stop = ["a", ""] }, allowed: false);
        Check("stop", new SamplingParams { Stop = ["a", null!] }, allowed: false);
        Check("stop", new SamplingParams { Stop = [.. Enumerable.Repeat("a", 64)] }, allowed: true);
        Check("stop", new SamplingParams { Stop = [.. Enumerable.Repeat("a", 65)] }, allowed: false);
        Check("stop", new SamplingParams { Stop = [new string('a', 4097)] }, allowed: false);
        Check("stop", new SamplingParams { Stop = ["a"], Detokenize = false }, allowed: false);
        Check("stop", new SamplingParams { Stop = null! }, allowed: true);
        var context = SamplingKit.Context() with { Tokenize = null };
        Assert.Equal("stop", SamplingKit.Refused(() => SamplingValidator.Validate(new SamplingParams { Stop = ["a"] }, context)).Parameter);
        Assert.False(SamplingValidator.Validate(new SamplingParams(), context).Detokenize);
    }

    [Fact]
    public void End_tokens_alone_cannot_be_allowed_while_min_tokens_forbids_them()
    {
        Check("allowed_token_ids", new SamplingParams { AllowedTokenIds = [2, 7], StopTokenIds = [7], MinTokens = 1 }, allowed: false);
        Check("allowed_token_ids", new SamplingParams { AllowedTokenIds = [2, 7, 8], StopTokenIds = [7], MinTokens = 1 }, allowed: true);
        Check("allowed_token_ids", new SamplingParams { AllowedTokenIds = [2, 7], StopTokenIds = [7] }, allowed: true);
    }

    [Fact]
    public void The_models_defaults_stand_where_the_request_is_silent()
    {
        var defaults = new ModelSamplingDefaults { Temperature = 0.6, TopP = 0.95, TopK = 20, MinP = 0.1, RepetitionPenalty = 1.05 };
        var context = SamplingKit.Context() with { ModelDefaults = defaults };
        var silent = SamplingValidator.Validate(new SamplingParams(), context);
        Assert.Equal((0.6, 0.95, 20, 0.1, 1.05f), (silent.Temperature, silent.TopP, silent.TopK, silent.MinP, silent.RepetitionPenalty));
        var loud = new SamplingParams { Temperature = 1, TopP = 1, TopK = 0, MinP = 0, RepetitionPenalty = 1 };
        var validated = SamplingValidator.Validate(loud, context);
        Assert.Equal((1, 1, 0, 0, 1f), (validated.Temperature, validated.TopP, validated.TopK, validated.MinP, validated.RepetitionPenalty));
        var none = Validate(new SamplingParams());
        Assert.Equal((1, 1, 0, 0, 1f), (none.Temperature, none.TopP, none.TopK, none.MinP, none.RepetitionPenalty));
    }

    [Fact]
    public void A_bad_default_is_the_model_folders_fault()
    {
        foreach (var defaults in new ModelSamplingDefaults[]
        {
            new() { Temperature = double.NaN }, new() { Temperature = -1 }, new() { TopP = 0 }, new() { TopK = -2 }, new() { MinP = 2 },
            new() { RepetitionPenalty = 0 }, new() { MaxNewTokens = 0 },
        })
        {
            var exception = Assert.Throws<EngineException>(defaults.Check);
            Assert.Equal(EngineErrorKind.ModelFolder, exception.Kind);
            Assert.StartsWith("generation_config.json: ", exception.Message, StringComparison.Ordinal);
        }

        new ModelSamplingDefaults { Temperature = 0.6, TopP = 0.95, TopK = 50, MinP = 0, RepetitionPenalty = 1, MaxNewTokens = 5 }.Check();
        ModelSamplingDefaults.None.Check();
    }

    [Fact]
    public void Every_fault_is_listed_in_one_error_and_the_first_is_named()
    {
        var request = new SamplingParams
        {
            N = 0, Temperature = double.NaN, TopP = 7, TopK = -3, MinP = -1, RepetitionPenalty = 0, PresencePenalty = 3, FrequencyPenalty = -3,
            Stop = [""], StopTokenIds = [-1], AllowedTokenIds = [], LogitBias = new Dictionary<int, double> { [500] = 1 }, BadWords = [""],
            Logprobs = 21, PromptLogprobs = 21, MaxTokens = 0, MinTokens = -1,
        };
        var exception = SamplingKit.Refused(() => Validate(request));
        Assert.Equal("temperature", exception.Parameter);
        foreach (var field in new[]
        {
            "n", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "stop",
            "stop_token_ids", "allowed_token_ids", "logit_bias", "bad_words", "logprobs", "prompt_logprobs", "max_tokens", "min_tokens",
        })
            Assert.Contains(field + ": given ", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_huge_n_costs_nothing_before_it_is_refused()
    {
        var context = SamplingKit.Context();
        var request = new SamplingParams { N = int.MaxValue, MaxTokens = int.MaxValue, Logprobs = int.MaxValue };
        SamplingKit.Refused(() => SamplingValidator.Validate(request, context));
        var before = GC.GetAllocatedBytesForCurrentThread();
        SamplingKit.Refused(() => SamplingValidator.Validate(request, context));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 * 1024);
    }

    private static ValidatedSampling Validate(SamplingParams request) => SamplingValidator.Validate(request, SamplingKit.Context());

    private static void Check(string field, SamplingParams request, bool allowed)
    {
        if (allowed)
            Validate(request);
        else
            Assert.Equal(field, SamplingKit.Refused(() => Validate(request)).Parameter);
    }

    private static SamplingParams With(string field, double value) => field switch
    {
        "temperature" => new SamplingParams { Temperature = value },
        "top_p" => new SamplingParams { TopP = value },
        "min_p" => new SamplingParams { MinP = value },
        "presence_penalty" => new SamplingParams { PresencePenalty = value },
        "frequency_penalty" => new SamplingParams { FrequencyPenalty = value },
        _ => new SamplingParams { RepetitionPenalty = value },
    };
}
