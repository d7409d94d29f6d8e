using System.Text;
using System.Text.Json;
using LocalLlm.Server.Tests.Serving;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Server.Tests.OpenAI;

/// <summary>Thinking and tool calls over HTTP with a model that has V3.1's template.</summary>
public sealed class DeepSeekV31Tests : IAsyncLifetime
{
    private const string Tools = """[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}},{"type":"function","function":{"name":"get_time"}}]""";

    private readonly TestServer _server = new(null, engine => engine with { ChatTemplate = DeepSeekTemplates.V31 });

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => ((IAsyncDisposable)_server).DisposeAsync();

    [Theory]
    [InlineData("", false)]
    [InlineData(",\"chat_template_kwargs\":{\"thinking\":true}", true)]
    [InlineData(",\"chat_template_kwargs\":{\"thinking\":false}", false)]
    [InlineData(",\"thinking\":{\"type\":\"enabled\"}", true)]
    [InlineData(",\"reasoning_effort\":\"none\"", false)]
    public async Task Thinking_is_off_unless_a_request_asks_for_it(string more, bool thinks)
    {
        using var answer = await AskAsync("{\"messages\":[{\"role\":\"user\",\"content\":\"Warm?\"}],\"max_tokens\":8,\"ignore_eos\":true" + more + "}");
        var message = answer.RootElement.GetProperty("choices")[0].GetProperty("message");
        Assert.Equal(thinks, message.TryGetProperty("reasoning", out var thought) && thought.ValueKind == JsonValueKind.String);
    }

    [Theory]
    [InlineData("\"required\"", false)]
    [InlineData("{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}}", true)]
    public async Task Forced_calls_stream_in_parts_that_make_whole_arguments(string choice, bool thinks)
    {
        var body = $$$"""{"messages":[{"role":"user","content":"Warm?"}],"temperature":1,"seed":3,"max_tokens":400,"thinking_token_budget":20,"stream":true,"tools":{{{Tools}}},"tool_choice":{{{choice}}},"chat_template_kwargs":{"thinking":{{{(thinks ? "true" : "false")}}}}}""";
        using var response = await _server.PostAsync("/v1/chat/completions", body, cancellationToken: TestContext.Current.CancellationToken);
        var calls = new SortedDictionary<int, (string Name, StringBuilder Arguments)>();
        foreach (var line in (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)))
        {
            using var chunk = JsonDocument.Parse(line[6..]);
            var delta = chunk.RootElement.GetProperty("choices")[0].GetProperty("delta");
            Assert.DoesNotContain("tool▁", line, StringComparison.Ordinal);
            if (!delta.TryGetProperty("tool_calls", out var parts) || parts.ValueKind != JsonValueKind.Array)
                continue;
            foreach (var part in parts.EnumerateArray())
            {
                var (index, function) = (part.GetProperty("index").GetInt32(), part.GetProperty("function"));
                if (!calls.ContainsKey(index))
                    calls.Add(index, (function.GetProperty("name").GetString()!, new()));
                calls[index].Arguments.Append(function.TryGetProperty("arguments", out var more) ? more.GetString() : "");
            }
        }

        var (name, arguments) = calls[0];
        using var json = JsonDocument.Parse(arguments.ToString());
        Assert.True(name == "get_time" || json.RootElement.GetProperty("city").ValueKind == JsonValueKind.String, $"{name} {arguments}");
    }

    private async Task<JsonDocument> AskAsync(string body)
    {
        using var response = await _server.PostAsync("/v1/chat/completions", body, cancellationToken: TestContext.Current.CancellationToken);
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonDocument.Parse(text);
    }
}
