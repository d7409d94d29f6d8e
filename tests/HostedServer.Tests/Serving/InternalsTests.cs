using System.Diagnostics.Metrics;
using LocalLlm.Extensions.AI;
using LocalLlm.Server.Http;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Server.Tests.Serving;

/// <summary>The text of a foreign exception goes to the log and never to a client.</summary>
public sealed class InternalsTests
{
    private const string Secret = "secret /home/somebody";

    [Theory]
    [InlineData("/v1/completions", """{"prompt":"Once upon a time","max_tokens":5}""")]
    [InlineData("/v1/completions", """{"prompt":["a","b"],"n":2,"max_tokens":5,"stream":true}""")]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"max_tokens":5}""")]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"a"}],"max_tokens":5,"stream":true}""")]
    public async Task An_exception_while_a_token_is_handled_stays_inside(string path, string body)
    {
        await using var server = new TestServer();
        await server.InitializeAsync();
        // The engine calls this listener of the host application while it handles a token; the listener throws.
        using (FailingListener(server))
        {
            using var response = await server.PostAsync(path, body, cancellationToken: TestContext.Current.CancellationToken);
            var answer = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            Assert.Contains("\"error\"", answer, StringComparison.Ordinal);
            Assert.DoesNotContain("secret", answer, StringComparison.Ordinal);
            Assert.DoesNotContain("InvalidOperation", answer, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task In_process_the_message_is_the_engines_own()
    {
        await using var server = new TestServer();
        await server.InitializeAsync();
        using var listener = FailingListener(server);
        var outputs = new List<string?>();
        try
        {
            await foreach (var output in server.Engine.GenerateAsync("Once upon a time", cancellationToken: TestContext.Current.CancellationToken))
                outputs.Add(output.Error);
        }
        catch (EngineException failure)
        {
            outputs.Add(failure.Message);
        }

        Assert.Contains(outputs, message => message is { Length: > 0 });
        Assert.DoesNotContain(outputs, message => message?.Contains("secret", StringComparison.Ordinal) == true);
    }

    [Fact]
    public void No_text_of_a_foreign_exception_becomes_an_answer()
    {
        Exception[] foreign =
        [
            new InvalidOperationException(Secret), new IOException(Secret), new EngineException(EngineErrorKind.ModelFolder, Secret), new EngineException(EngineErrorKind.Environment, Secret),
            new EngineException(EngineErrorKind.EngineDead, Secret), new EngineException(EngineErrorKind.InvalidOptions, Secret), new EngineException(EngineErrorKind.ShuttingDown, Secret),
            new EngineException(EngineErrorKind.GenerationFailed, "failed", innerException: new InvalidOperationException(Secret)),
            new Microsoft.AspNetCore.Http.BadHttpRequestException(Secret, 400), new OperationCanceledException(Secret), new TimeoutException(Secret),
        ];
        Assert.All(foreign, failure => Assert.DoesNotContain("secret", System.Text.Encoding.UTF8.GetString(ApiError.Of(failure).ToJson()), StringComparison.Ordinal));
    }

    // Fails only for this server's engine: other tests run at the same time.
    private static MeterListener FailingListener(TestServer server)
    {
        var scope = server.Services.GetRequiredService<IModelHost<LlmEngine>>();
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (ReferenceEquals(instrument.Meter.Scope, scope) && instrument.Name.Contains("token_latency", StringComparison.Ordinal))
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<double>((_, _, _, _) => throw new InvalidOperationException(Secret));
        listener.Start();
        return listener;
    }
}
