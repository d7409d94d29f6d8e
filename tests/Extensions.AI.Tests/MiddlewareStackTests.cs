using System.Collections.Concurrent;
using System.Diagnostics;
using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>The usual layers of Microsoft.Extensions.AI around the real engine.</summary>
public sealed class MiddlewareStackTests(EngineFixture fixture) : IClassFixture<EngineFixture>
{
    private const string Source = "LocalLlm.Tests.Stack";
    private const string Question = "What is the secret for 7 and 56?";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Calls_cache_logs_and_spans_work_together(bool streaming)
    {
        var calls = 0;
        var secret = AIFunctionFactory.Create(
            (int a, int b) =>
            {
                Interlocked.Increment(ref calls);
                return $"{a + b} degrees";
            },
            "get_secret",
            "Gets the secret.");
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener { ShouldListenTo = source => source.Name == Source, Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded, ActivityStopped = spans.Enqueue };
        ActivitySource.AddActivityListener(listener);
        var log = new LogLines();
        using var logging = LoggerFactory.Create(builder => builder.SetMinimumLevel(LogLevel.Trace).AddProvider(log));
        using var client = fixture.Value.AsIChatClient().AsBuilder()
            .UseFunctionInvocation()
            .UseDistributedCache(new MemoryDistributedCache(Options.Create(new MemoryDistributedCacheOptions())))
            .UseLogging(logging)
            .UseOpenTelemetry(sourceName: Source, configure: telemetry => telemetry.EnableSensitiveData = true)
            .Build();
        var options = new ChatOptions { Temperature = 0, Tools = [secret], ModelId = "tiny-r1" };

        var first = await AskAsync();
        Assert.Equal("The secret is 63 degrees.", first.Messages[^1].Text);
        Assert.Equal(1, calls);
        var chats = spans.Where(span => span.OperationName.StartsWith("chat", StringComparison.Ordinal)).ToArray();
        Assert.Equal(["[\"tool_calls\"]", "[\"stop\"]"], chats.Select(span => span.GetTagItem("gen_ai.response.finish_reasons")));
        Assert.Single(spans, span => span.OperationName == "execute_tool get_secret");
        Assert.All(chats, span =>
        {
            Assert.True((int)span.GetTagItem("gen_ai.usage.input_tokens")! > 0 && (int)span.GetTagItem("gen_ai.usage.output_tokens")! > 0);
            Assert.Equal(("localllm", "tiny-r1", "tiny-r1"), (span.GetTagItem("gen_ai.provider.name"), span.GetTagItem("gen_ai.request.model"), span.GetTagItem("gen_ai.response.model")));
            Assert.NotNull(span.GetTagItem("gen_ai.response.id"));
        });
        Assert.Equal(2, log.Lines.Count(line => line.Contains("completed", StringComparison.Ordinal)));
        Assert.Contains(log.Lines, line => line.Contains("63 degrees", StringComparison.Ordinal));

        // The same question again is answered from the cache: the tool is called, but the model is not.
        var second = await AskAsync();
        Assert.Equal(first.Messages[^1].Text, second.Messages[^1].Text);
        Assert.Equal(2, calls);
        Assert.Equal(2, spans.Count(span => span.OperationName.StartsWith("chat", StringComparison.Ordinal)));
        Assert.Equal(first.Usage!.TotalTokenCount, second.Usage!.TotalTokenCount);

        async Task<ChatResponse> AskAsync() => streaming
            ? await client.GetStreamingResponseAsync(Question, options, Token).ToChatResponseAsync(Token)
            : await client.GetResponseAsync(Question, options, Token);
    }

    private sealed class LogLines : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Lines.Enqueue(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
