using System.Text.Json;
using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class SamplingParamsJsonTests
{
    [Fact]
    public void Every_field_is_read_under_its_vllm_name()
    {
        var parsed = Parse(
            """
            {"n": 2, "presence_penalty": 0.5, "frequency_penalty": -0.5, "repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.9,
             "top_k": 40, "min_p": 0.05, "seed": -9223372036854775808, "stop": ["a", "b"], "stop_token_ids": [1, 2],
             "include_stop_str_in_output": true, "ignore_eos": true, "max_tokens": 7, "min_tokens": 3, "logprobs": 5, "prompt_logprobs": 6,
             "detokenize": false, "skip_special_tokens": false, "spaces_between_special_tokens": false, "logit_bias": {"5": 1.5, "7": -100},
             "allowed_token_ids": [5, 6], "bad_words": ["x"]}
            """);

        Assert.Equal(2, parsed.N);
        Assert.Equal((0.5, -0.5, 1.1), (parsed.PresencePenalty, parsed.FrequencyPenalty, parsed.RepetitionPenalty));
        Assert.Equal((0.7, 0.9, 40, 0.05), (parsed.Temperature, parsed.TopP, parsed.TopK, parsed.MinP));
        Assert.Equal(long.MinValue, parsed.Seed);
        Assert.Equal(["a", "b"], parsed.Stop);
        Assert.Equal([1, 2], parsed.StopTokenIds);
        Assert.True(parsed.IncludeStopStrInOutput && parsed.IgnoreEos);
        Assert.Equal((7, 3, 5, 6), (parsed.MaxTokens, parsed.MinTokens, parsed.Logprobs, parsed.PromptLogprobs));
        Assert.False(parsed.Detokenize || parsed.SkipSpecialTokens || parsed.SpacesBetweenSpecialTokens);
        Assert.Equal(new Dictionary<int, double> { [5] = 1.5, [7] = -100 }, parsed.LogitBias);
        Assert.Equal([5, 6], parsed.AllowedTokenIds);
        Assert.Equal(["x"], parsed.BadWords);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"n": null, "temperature": null, "seed": null, "stop": null, "logit_bias": null, "logprobs": null, "best_of": null, "guided_json": null, "response_format": null, "detokenize": null}""")]
    public void Null_counts_as_absent(string json)
    {
        var parsed = Parse(json);
        Assert.Equal(new SamplingParams() with { Stop = parsed.Stop, StopTokenIds = parsed.StopTokenIds, BadWords = parsed.BadWords }, parsed);
        Assert.Empty(parsed.Stop);
    }

    [Fact]
    public void One_stop_string_may_stand_bare() => Assert.Equal(["END"], Parse("""{"stop": "END"}""").Stop);

    [Theory]
    [InlineData("""{"max_completion_tokens": 5, "max_tokens": 9}""", 5)]
    [InlineData("""{"max_completion_tokens": null, "max_tokens": 9}""", 9)]
    [InlineData("""{"max_tokens": 5.0}""", 5)]
    [InlineData("""{"max_tokens": 1e1}""", 10)]
    public void Max_completion_tokens_wins_and_whole_numbers_may_be_written_as_floats(string json, int expected) =>
        Assert.Equal(expected, Parse(json).MaxTokens);

    [Theory]
    [InlineData("""{"logprobs": true}""", 0)]
    [InlineData("""{"logprobs": true, "top_logprobs": 5}""", 5)]
    [InlineData("""{"logprobs": true, "top_logprobs": -1}""", -1)]
    [InlineData("""{"logprobs": false}""", null)]
    [InlineData("""{"logprobs": false, "top_logprobs": 0}""", null)]
    [InlineData("""{"logprobs": 3}""", 3)]
    public void Logprobs_are_a_count_or_a_flag_with_a_count(string json, int? expected) => Assert.Equal(expected, Parse(json).Logprobs);

    [Theory]
    [InlineData("temperature", "1e400")]
    [InlineData("temperature", "-1e400")]
    [InlineData("temperature", "\"0.7\"")]
    [InlineData("temperature", "\"NaN\"")]
    [InlineData("temperature", "true")]
    [InlineData("temperature", "[0.7]")]
    [InlineData("top_p", "1e999")]
    [InlineData("min_p", "{}")]
    [InlineData("repetition_penalty", "\"1\"")]
    [InlineData("presence_penalty", "false")]
    [InlineData("frequency_penalty", "1e400")]
    [InlineData("n", "1.5")]
    [InlineData("n", "2147483648")]
    [InlineData("n", "1e400")]
    [InlineData("n", "true")]
    [InlineData("n", "\"3\"")]
    [InlineData("top_k", "-2147483649")]
    [InlineData("top_k", "0.5")]
    [InlineData("seed", "9223372036854775808")]
    [InlineData("seed", "-9223372036854775809")]
    [InlineData("seed", "1e30")]
    [InlineData("seed", "1.5")]
    [InlineData("max_tokens", "99999999999999999999")]
    [InlineData("max_completion_tokens", "\"9\"")]
    [InlineData("min_tokens", "[]")]
    [InlineData("logprobs", "\"5\"")]
    [InlineData("logprobs", "1.5")]
    [InlineData("prompt_logprobs", "true")]
    [InlineData("stop", "5")]
    [InlineData("stop", "[5]")]
    [InlineData("stop", "[null]")]
    [InlineData("stop", "\"\\ud800\"")]
    [InlineData("stop_token_ids", "5")]
    [InlineData("stop_token_ids", "[1.5]")]
    [InlineData("stop_token_ids", "[true]")]
    [InlineData("stop_token_ids", "[null]")]
    [InlineData("allowed_token_ids", "[4294967296]")]
    [InlineData("bad_words", "\"x\"")]
    [InlineData("bad_words", "[1]")]
    [InlineData("logit_bias", "[1]")]
    [InlineData("logit_bias", "{\"x\": 1}")]
    [InlineData("logit_bias", "{\"1.0\": 1}")]
    [InlineData("logit_bias", "{\"99999999999\": 1}")]
    [InlineData("logit_bias", "{\"1\": null}")]
    [InlineData("logit_bias", "{\"1\": \"2\"}")]
    [InlineData("logit_bias", "{\"1\": 1e400}")]
    [InlineData("logit_bias", "{\"1\": 1, \"01\": 2}")]
    [InlineData("detokenize", "0")]
    [InlineData("ignore_eos", "\"true\"")]
    [InlineData("top_logprobs", "2")]
    public void A_wrong_type_or_a_number_beyond_it_is_refused(string field, string value)
    {
        var exception = SamplingKit.Refused(() => Parse($"{{\"{field}\": {value}}}"));
        Assert.Equal(field, exception.Parameter);
        Assert.StartsWith(field + ": given ", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"top_p": 0.5, "top_p": 0.6}""", "top_p")]
    [InlineData("""{"logprobs": 3, "top_logprobs": 3}""", "top_logprobs")]
    public void Contradictions_are_refused(string json, string field) => Assert.Equal(field, SamplingKit.Refused(() => Parse(json)).Parameter);

    [Fact]
    public void Every_fault_is_listed_in_one_error()
    {
        var exception = SamplingKit.Refused(() => Parse("""{"temperature": "hot", "n": 1.5, "best_of": 3, "top_p": 1e400, "stop": 7}"""));
        Assert.Equal("n", exception.Parameter);
        foreach (var field in new[] { "temperature", "n", "best_of", "top_p", "stop" })
            Assert.Contains(field + (field == "best_of" ? " is not supported: remove it" : ": given "), exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("best_of", "1", "3")]
    [InlineData("use_beam_search", "false", "true")]
    [InlineData("length_penalty", "1.0", "0.8")]
    [InlineData("guided_json", "null", "{}")]
    [InlineData("guided_regex", "null", "\"a*\"")]
    [InlineData("guided_future_kind", "null", "1")]
    [InlineData("repetition_detection", "null", "{}")]
    [InlineData("logprob_token_ids", "null", "[1]")]
    [InlineData("prompt_logprob_token_ids", "null", "[1]")]
    [InlineData("flat_logprobs", "false", "true")]
    [InlineData("output_kind", "0", "1")]
    [InlineData("stream_interval", "1", "5")]
    [InlineData("extra_args", "{}", "{\"a\": 1}")]
    [InlineData("logits_processors", "[]", "[\"x\"]")]
    [InlineData("truncate_prompt_tokens", "null", "10")]
    [InlineData("priority", "0", "1")]
    public void A_known_field_that_is_not_honoured_is_refused_unless_it_asks_for_nothing(string field, string neutral, string value)
    {
        SamplingParamsJson.Parse(Element($"{{\"{field}\": {neutral}}}"), out var unknown);
        Assert.Empty(unknown);
        var exception = SamplingKit.Refused(() => Parse($"{{\"{field}\": {value}}}"));
        Assert.Equal(field, exception.Parameter);
        Assert.Equal($"{field} is not supported: remove it", exception.Message);
    }

    [Fact]
    public void Best_of_n_is_no_choice() => Assert.Equal(3, Parse("""{"n": 3, "best_of": 3}""").N);

    [Fact]
    public void Unknown_fields_are_reported_for_the_caller_to_judge()
    {
        SamplingParamsJson.Parse(Element("""{"messages": [], "top_p": 0.5, "temprature": 1, "TOP_K": 4}"""), out var unknown);
        Assert.Equal(["messages", "temprature", "TOP_K"], unknown);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("\"x\"")]
    public void Only_an_object_is_read(string json) => SamplingKit.Refused(() => Parse(json));

    [Fact]
    public void A_hostile_request_gets_a_short_error_without_control_characters()
    {
        var many = string.Join(',', Enumerable.Repeat("\"x\"", 10_000));
        var exception = SamplingKit.Refused(() => Parse($"{{\"stop_token_ids\": [{many}], \"n\": {new string('9', 5000)}}}"));
        Assert.InRange(exception.Message.Length, 1, 4000);
        Assert.DoesNotContain(SamplingKit.Refused(() => Parse("{\"a\\u0000\\n\": 1, \"a\\u0000\\n\": 2}")).Message, char.IsControl);
        SamplingKit.Refused(() => Parse("{\"\\ud800\": 1}"));
    }

    private static SamplingParams Parse(string json) => SamplingParamsJson.Parse(Element(json), out _);

    private static JsonElement Element(string json) => JsonDocument.Parse(json).RootElement;
}
