using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public class SchedulerDoorTests
{
    [Theory]
    [InlineData(63, true)]
    [InlineData(64, false)]
    [InlineData(65, false)]
    public void A_prompt_must_leave_room_for_one_token_in_the_context(int length, bool accepted)
    {
        var lab = new SchedulerLab(maxModelLen: 64);
        if (accepted)
        {
            lab.Add(1, length);
            return;
        }

        var error = Refused(lab, new Sequence(1, new int[length], 1), EngineErrorKind.ContextLengthExceeded);
        Assert.Contains($"{length} tokens", error.Message, StringComparison.Ordinal);
        Assert.Contains("64", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(40, 24, true)] // 4 blocks of 4
    [InlineData(40, 25, false)]
    [InlineData(63, 1, true)]
    [InlineData(64, 1, false)]
    [InlineData(1, int.MaxValue, false)]
    public void What_may_outgrow_all_blocks_is_refused_with_both_numbers(int prompt, int maxTokens, bool accepted)
    {
        var lab = new SchedulerLab(numBlocks: 4, maxModelLen: 100);
        if (accepted)
        {
            var sequence = lab.Add(1, prompt, maxTokens);
            while (lab.Scheduler.HasUnfinished)
                lab.Step();
            Assert.Equal((FinishReason.Length, maxTokens), (sequence.FinishReason, sequence.NumOutputTokens));
            return;
        }

        var error = Refused(lab, new Sequence(1, new int[prompt], maxTokens), EngineErrorKind.ContextLengthExceeded);
        Assert.Contains($"{prompt} tokens", error.Message, StringComparison.Ordinal);
        Assert.Contains("4 blocks = 64 tokens", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Max_tokens_beyond_the_context_end_at_the_context_and_reserve_nothing()
    {
        var lab = new SchedulerLab(numBlocks: 4, maxModelLen: 64);
        var sequence = lab.Add(1, prompt: 10, maxTokens: int.MaxValue);
        lab.Step();
        Assert.Equal(3, lab.Kv.NumFreeBlocks);
        while (lab.Scheduler.HasUnfinished)
            lab.Step();
        Assert.Equal((64, FinishReason.Length), (sequence.NumTokens, sequence.FinishReason));
    }

    [Fact]
    public void Empty_prompts_negative_tokens_and_no_output_are_refused()
    {
        var lab = new SchedulerLab();
        Assert.Equal("prompt", Refused(lab, new Sequence(1, [], 1), EngineErrorKind.InvalidRequest).Parameter);
        Assert.Equal("prompt", Refused(lab, new Sequence(1, [5, -1, 5], 1), EngineErrorKind.InvalidRequest).Parameter);
        Assert.Equal("max_tokens", Refused(lab, new Sequence(1, [5], 0), EngineErrorKind.InvalidRequest).Parameter);
        Assert.Equal("max_tokens", Refused(lab, new Sequence(1, [5], -3), EngineErrorKind.InvalidRequest).Parameter);
    }

    [Fact]
    public void An_id_is_refused_while_its_sequence_lives_or_its_blocks_are_in_flight()
    {
        var lab = new SchedulerLab();
        var first = lab.Add(1, prompt: 4);
        Refused(lab, new Sequence(1, [1], 1), EngineErrorKind.InvalidRequest);
        Refused(lab, first, EngineErrorKind.InvalidRequest);
        var output = lab.Scheduler.Schedule();
        lab.Scheduler.Abort(1);
        Refused(lab, new Sequence(1, [1], 1), EngineErrorKind.InvalidRequest);
        lab.Report(output);
        Refused(lab, first, EngineErrorKind.InvalidRequest);
        lab.Add(1, prompt: 4);
    }

    [Fact]
    public void A_full_queue_refuses_until_somebody_is_admitted()
    {
        var lab = new SchedulerLab(configure: o => o with { MaxNumWaiting = 2, MaxNumSeqs = 1 });
        lab.Add(1, prompt: 4, maxTokens: 1);
        lab.Add(2, prompt: 4, maxTokens: 1);
        var error = Refused(lab, new Sequence(3, [1], 1), EngineErrorKind.Overloaded);
        Assert.Contains("holds 2 sequences and its limit is 2", error.Message, StringComparison.Ordinal);
        lab.Step();
        lab.Add(3, prompt: 4);
    }

    [Fact]
    public void The_sequences_of_one_request_enter_together_or_not_at_all()
    {
        var lab = new SchedulerLab(configure: o => o with { MaxNumWaiting = 3 });
        Sequence[] group = [.. Enumerable.Range(1, 3).Select(id => new Sequence(id, [1, 2], 1))];
        lab.Add(10, prompt: 2);
        Assert.Equal(EngineErrorKind.Overloaded, Assert.Throws<EngineException>(() => lab.Scheduler.AddGroup(group)).Kind);
        Assert.Equal(1, lab.Scheduler.NumWaiting);
        lab.Step();
        Assert.Equal(
            EngineErrorKind.InvalidRequest,
            Assert.Throws<EngineException>(() => lab.Scheduler.AddGroup(group[0], group[1], new Sequence(2, [1], 1))).Kind);
        Assert.Equal(
            EngineErrorKind.InvalidRequest,
            Assert.Throws<EngineException>(() => lab.Scheduler.AddGroup([.. group, new Sequence(4, [1], 1)])).Kind);
        Assert.Equal(0, lab.Scheduler.NumWaiting);
        lab.Scheduler.AddGroup(group);
        Assert.Equal(3, lab.Scheduler.NumWaiting);
    }

    [Theory]
    [InlineData("max_model_len")]
    [InlineData("max_num_seqs")]
    [InlineData("max_num_batched_tokens")]
    [InlineData("long_prefill_token_threshold")]
    [InlineData("max_num_waiting")]
    [InlineData("admission_watermark")]
    public void Options_that_contradict_are_refused_by_name(string parameter)
    {
        var good = new SchedulerOptions { MaxModelLen = 128, MaxNumBatchedTokens = 64, MaxNumSeqs = 64 };
        good.Validate();
        SchedulerOptions[] bad = parameter switch
        {
            "max_model_len" => [good with { MaxModelLen = 1 }, good with { MaxModelLen = -5 }],
            "max_num_seqs" => [good with { MaxNumSeqs = 0 }],
            "max_num_batched_tokens" => [good with { MaxNumBatchedTokens = 63 }, good with { EnableChunkedPrefill = false }],
            "long_prefill_token_threshold" =>
            [
                good with { LongPrefillTokenThreshold = -1 },
                good with { EnableChunkedPrefill = false, MaxNumBatchedTokens = 128, LongPrefillTokenThreshold = 7 },
            ],
            "max_num_waiting" => [good with { MaxNumWaiting = 0 }],
            _ => [.. new[] { double.NaN, 1, -0.1 }.Select(watermark => good with { AdmissionWatermark = watermark })],
        };
        foreach (var options in bad)
        {
            var error = Assert.Throws<EngineException>(options.Validate);
            Assert.Equal((EngineErrorKind.InvalidOptions, parameter), (error.Kind, error.Parameter));
        }
    }

    private static EngineException Refused(SchedulerLab lab, Sequence sequence, EngineErrorKind kind)
    {
        var before = (lab.Scheduler.NumWaiting, lab.Scheduler.NumRunning, lab.Kv.NumFreeBlocks);
        var error = Assert.Throws<EngineException>(() => lab.Scheduler.Add(sequence));
        Assert.Equal(kind, error.Kind);
        Assert.Equal(before, (lab.Scheduler.NumWaiting, lab.Scheduler.NumRunning, lab.Kv.NumFreeBlocks));
        lab.Scheduler.CheckIntegrity();
        return error;
    }
}
