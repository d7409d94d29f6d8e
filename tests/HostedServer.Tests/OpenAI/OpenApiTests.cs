using LocalLlm.Server.Tests.Serving;
using Xunit;

namespace LocalLlm.Server.Tests.OpenAI;

/// <summary>Every response is valid by OpenAI's own description of its API.</summary>
public sealed class OpenApiTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Chat = "/v1/chat/completions";
    private const string Tools = """ "tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}] """;
    private const string Hi = """ "messages":[{"role":"user","content":"Hi"}],"max_tokens":40 """;

    public static TheoryData<string> Chats =>
    [
        $"{{{Hi}}}", $"{{{Hi},\"n\":2,\"temperature\":1}}", $"{{{Hi},\"logprobs\":true,\"top_logprobs\":2}}", $"{{{Hi},\"max_completion_tokens\":1}}", $"{{{Hi},\"return_token_ids\":true,\"prompt_logprobs\":1}}", $"{{{Hi},{Tools}}}",
        $"{{{Hi},{Tools},\"tool_choice\":\"required\"}}", $"{{{Hi},\"include_reasoning\":false}}", $"{{{Hi},\"response_format\":{{\"type\":\"json_object\"}}}}", $"{{{Hi},\"reasoning_effort\":\"none\",\"stop\":\"o\"}}",
    ];

    [Theory]
    [MemberData(nameof(Chats))]
    public async Task Chat_answers_and_their_chunks_are_valid(string body)
    {
        await AssertValidAsync("CreateChatCompletionResponse", (await server.AskAsync(Chat, body)).GetRawText());
        // Only responses that are not streamed have prompt log-probabilities.
        var streamed = body.Replace(",\"prompt_logprobs\":1", "", StringComparison.Ordinal)[..^1] + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}";
        foreach (var chunk in await server.StreamAsync(Chat, streamed))
            await AssertValidAsync("CreateChatCompletionStreamResponse", chunk.GetRawText());
    }

    [Theory]
    [InlineData("""{"prompt":"Once upon","max_tokens":4}""")]
    [InlineData("""{"prompt":["Once upon","The"],"max_tokens":4,"n":2,"temperature":1,"echo":true}""")]
    [InlineData("""{"prompt":[5,6,7],"max_tokens":4,"stop":["a"],"return_token_ids":true}""")]
    public async Task Completions_and_their_pieces_are_valid(string body)
    {
        await AssertValidAsync("CreateCompletionResponse", (await server.AskAsync("/v1/completions", body)).GetRawText());
        foreach (var piece in await server.StreamAsync("/v1/completions", body[..^1] + ",\"stream\":true}"))
        {
            // The description does not allow null here, but OpenAI's own server and vLLM send null in every chunk before the last.
            await AssertValidAsync("CreateCompletionResponse", piece.GetRawText().Replace("\"finish_reason\":null", "\"finish_reason\":\"stop\"", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Models_are_valid()
    {
        await AssertValidAsync("ListModelsResponse", await server.Client.GetStringAsync(new Uri("/v1/models", UriKind.Relative), TestContext.Current.CancellationToken));
        await AssertValidAsync("Model", await server.Client.GetStringAsync(new Uri("/v1/models/tiny-r1", UriKind.Relative), TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("{")]
    [InlineData("""{"messages":[]}""")]
    [InlineData("""{"messages":[{"role":"user","content":"a"}],"model":"x"}""")]
    public async Task Errors_are_valid(string body)
    {
        using var response = await server.PostAsync(Chat, body, cancellationToken: TestContext.Current.CancellationToken);
        await AssertValidAsync("ErrorResponse", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task The_description_refuses_what_is_wrong()
    {
        var schema = await OpenApiSchemas.OfAsync("CreateChatCompletionResponse");
        Assert.NotEmpty(schema.Validate("""{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"abort","logprobs":null,"message":{"role":"assistant","content":"","refusal":null}}]}"""));
        Assert.NotEmpty(schema.Validate("""{"id":"a","created":1,"model":"m","choices":[]}"""));
    }

    private static async Task AssertValidAsync(string component, string json)
    {
        var errors = (await OpenApiSchemas.OfAsync(component)).Validate(json);
        Assert.True(errors.Count == 0, $"{component}: {string.Join("; ", errors)}\n{json}");
    }
}
