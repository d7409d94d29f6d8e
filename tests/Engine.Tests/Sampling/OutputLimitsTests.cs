using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class OutputLimitsTests
{
    [Theory]
    [InlineData(null, false, null, 100, 16)]
    [InlineData(null, true, null, 100, 900)]
    [InlineData(null, false, 50, 100, 50)]
    [InlineData(null, true, 50, 100, 50)]
    [InlineData(null, true, 5000, 100, 900)]
    [InlineData(30, false, 50, 100, 30)]
    [InlineData(80, false, 50, 100, 50)]
    [InlineData(80, true, null, 100, 80)]
    [InlineData(int.MaxValue, false, null, 100, 900)]
    [InlineData(1, false, null, 999, 1)]
    [InlineData(null, false, null, 990, 10)]
    public void Max_tokens_is_the_requests_the_models_or_the_contexts(int? given, bool isChat, int? maxNewTokens, int promptLength, int expected)
    {
        var context = SamplingKit.Context() with
        {
            IsChat = isChat, PromptLength = promptLength, ModelDefaults = new ModelSamplingDefaults { MaxNewTokens = maxNewTokens },
        };
        Assert.Equal(expected, SamplingValidator.Validate(new SamplingParams { MaxTokens = given }, context).MaxTokens);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    public void Max_tokens_is_at_least_one(int given)
    {
        var exception = SamplingKit.Refused(() => SamplingValidator.Validate(new SamplingParams { MaxTokens = given }, SamplingKit.Context()));
        Assert.Equal("max_tokens", exception.Parameter);
        Assert.DoesNotContain("min_tokens", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1, 10, false)]
    [InlineData(0, 10, true)]
    [InlineData(10, 10, true)]
    [InlineData(11, 10, false)]
    [InlineData(17, null, false)]
    [InlineData(16, null, true)]
    [InlineData(int.MaxValue, 10, false)]
    [InlineData(901, 5000, false)]
    [InlineData(900, 5000, true)]
    public void Min_tokens_fits_into_what_may_be_generated(int min, int? max, bool allowed)
    {
        var request = new SamplingParams { MinTokens = min, MaxTokens = max };
        if (allowed)
            Assert.Equal(min, SamplingValidator.Validate(request, SamplingKit.Context()).MinTokens);
        else
            Assert.Equal("min_tokens", SamplingKit.Refused(() => SamplingValidator.Validate(request, SamplingKit.Context())).Parameter);
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(1001)]
    [InlineData(int.MaxValue)]
    public void A_prompt_without_room_for_a_token_exceeds_the_context(int promptLength)
    {
        var context = SamplingKit.Context() with { PromptLength = promptLength };
        var exception = Assert.Throws<EngineException>(() => SamplingValidator.Validate(new SamplingParams { MinTokens = 3 }, context));
        Assert.Equal(EngineErrorKind.ContextLengthExceeded, exception.Kind);
        Assert.Contains(promptLength.ToString(System.Globalization.CultureInfo.InvariantCulture), exception.Message, StringComparison.Ordinal);
        Assert.Contains("1000", exception.Message, StringComparison.Ordinal);
    }
}
