using System.ClientModel;
using System.ComponentModel;
using LocalLlm.Server.Tests.Serving;
using Microsoft.Extensions.AI;
using OpenAI;
using OpenAI.Chat;
using Xunit;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;

namespace LocalLlm.Server.Tests.OpenAI;

/// <summary>OpenAI's own .NET client, and Microsoft.Extensions.AI's adapter over it.</summary>
public sealed class DotNetClientTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Question = "What is the capital of France?";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private OpenAIClient Client => new(new ApiKeyCredential("any"), new OpenAIClientOptions { Endpoint = new(server.Address, "/v1"), RetryPolicy = new System.ClientModel.Primitives.ClientRetryPolicy(0) });

    private IChatClient Chat => Client.GetChatClient("tiny-r1").AsIChatClient();

    [Fact]
    public async Task An_answer_comes_with_its_thought_usage_and_finish_reason()
    {
        var response = await Chat.GetResponseAsync(Question, new() { Temperature = 0 }, Token);
        Assert.Contains("Paris", response.Text, StringComparison.Ordinal);
        Assert.NotEmpty(response.Messages[0].Contents.OfType<TextReasoningContent>());
        Assert.Equal(Microsoft.Extensions.AI.ChatFinishReason.Stop, response.FinishReason);
        Assert.True(response.Usage!.OutputTokenCount > 0);
    }

    [Fact]
    public async Task A_stream_says_the_same()
    {
        var whole = await Chat.GetResponseAsync(Question, new() { Temperature = 0 }, Token);
        var streamed = await Chat.GetStreamingResponseAsync(Question, new() { Temperature = 0 }, Token).ToChatResponseAsync(Token);
        Assert.Equal(whole.Text, streamed.Text);
        Assert.Equal(whole.Usage!.OutputTokenCount, streamed.Usage!.OutputTokenCount);
        Assert.Equal(whole.FinishReason, streamed.FinishReason);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_tool_is_called_and_its_result_comes_back(bool stream)
    {
        string? asked = null;
        var tool = AIFunctionFactory.Create(
            ([Description("The city")] string city) =>
            {
                asked = city;
                return "sunny, 21 degrees";
            },
            "get_weather",
            "Get the weather of a city");
        using var client = Chat.AsBuilder().UseFunctionInvocation().Build();
        var options = new ChatOptions { Temperature = 0, Tools = [tool] };
        ChatMessage[] messages = [new(ChatRole.User, "What is the weather in Paris?")];
        var response = stream ? await client.GetStreamingResponseAsync(messages, options, Token).ToChatResponseAsync(Token) : await client.GetResponseAsync(messages, options, Token);
        Assert.Equal("Paris", asked);
        Assert.NotEqual("", response.Text);
    }

    [Fact]
    public async Task An_answer_of_a_type_is_of_that_type()
    {
        var response = await Chat.GetResponseAsync<City>(Question, new ChatOptions { Temperature = 0, MaxOutputTokens = 300 }, cancellationToken: Token);
        Assert.NotNull(response.Result.Name);
    }

    [Fact]
    public async Task Models_are_listed()
    {
        var models = (await Client.GetOpenAIModelClient().GetModelsAsync(Token)).Value;
        Assert.Equal(["tiny-r1"], models.Select(model => model.Id));
        Assert.Equal("localllm", (await Client.GetOpenAIModelClient().GetModelAsync("tiny-r1", Token)).Value.OwnedBy);
    }

    [Fact]
    public async Task A_refusal_says_what_is_wrong()
    {
        var failure = await Assert.ThrowsAsync<ClientResultException>(() => Client.GetChatClient("tiny-r1").CompleteChatAsync([new UserChatMessage("Hi")], new() { MaxOutputTokenCount = 100_000 }, Token));
        Assert.Equal(400, failure.Status);
        Assert.Contains("context_length_exceeded", failure.Message, StringComparison.Ordinal);
        var unknown = await Assert.ThrowsAsync<ClientResultException>(() => Client.GetChatClient("gpt-5").CompleteChatAsync([new UserChatMessage("Hi")], null, Token));
        Assert.Equal(404, unknown.Status);
    }

    [Fact]
    public async Task Embeddings_of_a_model_that_makes_none_are_refused()
    {
        var failure = await Assert.ThrowsAsync<ClientResultException>(() => Client.GetEmbeddingClient("tiny-r1").GenerateEmbeddingAsync("a", null, Token));
        Assert.Equal(400, failure.Status);
    }

    private sealed record City(string Name, int Inhabitants);
}
