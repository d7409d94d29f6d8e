using LocalLlm.Execution;
using LocalLlm.Scheduling;
using LocalLlm.Tests.Sampling;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public sealed class EngineLoopFailureTests
{
    private const int Attempts = 10_000;

    [Fact]
    public async Task A_loop_that_was_given_up_says_that_it_has_failed_whoever_noticed_first()
    {
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            var inbox = new EngineInbox();
            using var executor = new LostExecutor();
            using var loop = new EngineLoop(executor, inbox, Settings(), () => 0, NullLogger.Instance, TimeProvider.System);
            // This reads the inbox at the moment when the loop is given up, as the engine does when it notifies its host.
            var seen = loop.GivenUp.ContinueWith(_ => inbox.Closed, TaskContinuationOptions.ExecuteSynchronously);
            inbox.Submit(new() { Id = "1", PromptTokenIds = [1, 2, 3], Sampling = SamplingKit.Validated(new()) });
            loop.Run();
            Assert.Equal(EngineErrorKind.EngineDead, (await seen)?.Kind);
        }
    }

    private static EngineLoopSettings Settings() => new() { ModelName = "model", Scheduler = new() { MaxModelLen = 64, MaxNumBatchedTokens = 64, MaxNumSeqs = 4 } };

    // Loses its device at the moment when the loop waits for a step: the loop and those who await Lost learn of it at once.
    private sealed class LostExecutor : IStepExecutor
    {
        private readonly TaskCompletionSource<Exception> _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public ExecutorCapabilities Capabilities { get; } = new()
        {
            Plan = new() { AvailableBytes = 0, BudgetBytes = 0, WeightBytes = 0, ActivationBytes = 0, KvCacheBytes = 0, BytesPerBlock = 0, NumBlocks = 8, BlockSize = 16, MaxModelLen = 64 },
        };

        public Task<Exception> Lost => _lost.Task;

        public bool Submit(SchedulerOutput step) => true;

        public StepResult Complete()
        {
            var reason = new IOException("the node is gone");
            _lost.SetResult(reason);
            throw reason;
        }

        public void Dispose()
        {
        }
    }
}
