using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class StopCheckerTests
{
    [Theory]
    [InlineData(2, FinishReason.Stop, null)]
    [InlineData(3, FinishReason.Stop, null)]
    [InlineData(5, FinishReason.Stop, 5)]
    [InlineData(4, null, null)]
    public void An_end_token_stops_without_reason_and_a_stop_token_is_its_own(int token, FinishReason? reason, int? stopTokenId) =>
        Check(new SamplingParams { StopTokenIds = [5], MaxTokens = 10 }, token, 1, reason, stopTokenId);

    [Fact]
    public void A_token_that_is_both_is_an_end_token() => Check(new SamplingParams { StopTokenIds = [2], MaxTokens = 10 }, 2, 1, FinishReason.Stop, null);

    [Fact]
    public void Ignored_end_tokens_do_not_stop_but_stop_tokens_still_do()
    {
        Check(new SamplingParams { IgnoreEos = true, MaxTokens = 10 }, 2, 1, null, null);
        Check(new SamplingParams { IgnoreEos = true, StopTokenIds = [2], MaxTokens = 10 }, 2, 1, FinishReason.Stop, 2);
    }

    [Theory]
    [InlineData(1, null)]
    [InlineData(2, null)]
    [InlineData(3, FinishReason.Stop)]
    public void Nothing_stops_before_min_tokens(int outputLength, FinishReason? reason) =>
        Check(new SamplingParams { MinTokens = 3, MaxTokens = 10 }, 2, outputLength, reason, null);

    [Theory]
    [InlineData(9, null)]
    [InlineData(10, FinishReason.Length)]
    [InlineData(11, FinishReason.Length)]
    public void The_limit_ends_by_length(int outputLength, FinishReason? reason) =>
        Check(new SamplingParams { MaxTokens = 10 }, 4, outputLength, reason, null);

    [Fact]
    public void A_stop_at_the_last_position_is_a_stop() => Check(new SamplingParams { MaxTokens = 10 }, 2, 10, FinishReason.Stop, null);

    [Fact]
    public void The_contexts_end_is_absolute()
    {
        Check(new SamplingParams { MaxTokens = 5000 }, 4, 899, null, null);
        Check(new SamplingParams { MaxTokens = 5000 }, 4, 900, FinishReason.Length, null);
        var sampling = SamplingValidator.Validate(new SamplingParams { MaxTokens = 900, MinTokens = 900 }, SamplingKit.Context());
        Assert.Equal(FinishReason.Length, StopChecker.Check(sampling, 4, 500, 100, 600)?.Reason);
    }

    [Fact]
    public void End_ids_outside_of_the_vocabulary_are_left_out() => Assert.Equal(
        [2, 3], SamplingValidator.Validate(new SamplingParams(), SamplingKit.Context() with { EosTokenIds = [2, 3, -1, 100] }).EosTokenIds.Order());

    private static void Check(SamplingParams request, int token, int outputLength, FinishReason? reason, int? stopTokenId)
    {
        var context = SamplingKit.Context() with { EosTokenIds = [2, 3] };
        var decision = StopChecker.Check(SamplingValidator.Validate(request, context), token, outputLength, context.PromptLength, context.MaxModelLen);
        Assert.Equal(reason is { } finish ? new StopDecision(finish, stopTokenId) : null, decision);
    }
}
