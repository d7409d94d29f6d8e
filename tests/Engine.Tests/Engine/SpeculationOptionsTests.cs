using LocalLlm.Requests;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

public class SpeculationOptionsTests
{
    [Fact]
    public void The_json_is_vllms()
    {
        var options = SpeculationJson.Parse("""{"method":"ngram","num_speculative_tokens":4,"prompt_lookup_max":5,"prompt_lookup_min":2}""");
        Assert.Equal(new() { Method = "ngram", NumSpeculativeTokens = 4, PromptLookupMax = 5, PromptLookupMin = 2 }, options);
        Assert.Null(SpeculationJson.Parse("{}"));
    }

    [Theory]
    [InlineData("""{"method":"ngram","model":"x"}""", "model is not supported")]
    [InlineData("""{"method":5}""", "method: given 5")]
    [InlineData("""{"num_speculative_tokens":"4"}""", "num_speculative_tokens")]
    [InlineData("""{"num_speculative_tokens":2.5,"prompt_lookup_max":true}""", "prompt_lookup_max")]
    [InlineData("""{"num_speculative_tokens":99999999999}""", "num_speculative_tokens")]
    [InlineData("""{"method":"ngram","method":"mtp"}""", "method: given the field twice")]
    [InlineData("[1]", "is [1]")]
    [InlineData("ngram", "'ngram' is not valid JSON")]
    [InlineData("", "'' is not valid JSON")]
    [InlineData("null", "is null")]
    public void Invalid_configurations_are_refused_by_name(string json, string expected)
    {
        var refusal = Assert.Throws<EngineException>(() => SpeculationJson.Parse(json));
        Assert.Equal((EngineErrorKind.InvalidOptions, "speculative_config"), (refusal.Kind, refusal.Parameter));
        Assert.Contains(expected, refusal.Message, StringComparison.Ordinal);
        Assert.Contains("""{"method":"ngram","num_speculative_tokens":4}""", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, 4, null, null, "has no method; allowed: ngram")]
    [InlineData("eagle", 4, null, null, "has the method 'eagle'; allowed: ngram")]
    [InlineData("NGRAM", 4, null, null, "has the method 'NGRAM'")]
    [InlineData("ngram", null, null, null, "has no num_speculative_tokens; give 1 to 32")]
    [InlineData("ngram", 0, null, null, "num_speculative_tokens 0; allowed: 1 to 32")]
    [InlineData("ngram", 33, null, null, "num_speculative_tokens 33")]
    [InlineData("ngram", -5, null, null, "num_speculative_tokens -5")]
    [InlineData("ngram", 16, null, null, "a step computes 16 tokens")]
    [InlineData("ngram", 4, 0, null, "prompt_lookup_max 0")]
    [InlineData("ngram", 4, 33, 1, "prompt_lookup_max 33")]
    [InlineData("ngram", 4, 3, 4, "prompt_lookup_min 4; at least 1, at most prompt_lookup_max (3)")]
    [InlineData("ngram", 4, 3, 0, "prompt_lookup_min 0")]
    [InlineData("mtp", 1, 3, null, "only the method ngram has")]
    [InlineData("mtp", 1, null, null, "this Qwen2ForCausalLM has no layer for multi-token prediction")]
    public async Task What_cannot_be_honoured_is_refused_before_weights_are_read(string? method, int? drafts, int? max, int? min, string expected)
    {
        var options = TinyEngine.Options with
        {
            MaxNumBatchedTokens = 16,
            Speculation = new() { Method = method, NumSpeculativeTokens = drafts, PromptLookupMax = max, PromptLookupMin = min },
        };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal((EngineErrorKind.InvalidOptions, "speculative_config"), (refusal.Kind, refusal.Parameter));
        Assert.Contains(expected, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_fault_is_in_one_message()
    {
        var options = TinyEngine.Options with { Speculation = new() { Method = "x", NumSpeculativeTokens = 0 }, MaxNumSeqs = 0 };
        var refusal = Assert.Throws<EngineException>(() => EngineOptionsValidator.Validate(options));
        foreach (var fault in new[] { "method 'x'", "num_speculative_tokens 0", "max_num_seqs is 0" })
            Assert.Contains(fault, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_check_before_a_start_knows_the_model()
    {
        var options = TinyEngine.Options with { Speculation = new() { Method = "mtp", NumSpeculativeTokens = 1 } };
        Assert.Contains("Qwen2ForCausalLM", Assert.Throws<EngineException>(() => EngineOptionsValidator.CheckFit(options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_bound_of_the_look_up_stands_for_both()
    {
        Assert.Equal((5, 5), Lookup(new()));
        Assert.Equal((3, 3), Lookup(new() { PromptLookupMax = 3 }));
        Assert.Equal((2, 2), Lookup(new() { PromptLookupMin = 2 }));
        Assert.Equal((1, 4), Lookup(SuiteExecutor.Ngram));
    }

    private static (int, int) Lookup(SpeculationOptions options) => (options.LookupMin, options.LookupMax);
}
