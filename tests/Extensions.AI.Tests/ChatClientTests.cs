using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.SemanticKernel;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>The chat client over the real tiny model, which can add numbers.</summary>
public sealed class ChatClientTests(EngineFixture fixture) : IClassFixture<EngineFixture>
{
    private static readonly ChatMessage[] Sum = [new(ChatRole.User, "What is 58 + 27?")];
    private static readonly ChatOptions Greedy = new() { Temperature = 0 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_response_has_text_usage_finish_reason_and_ids()
    {
        using var client = fixture.Value.AsIChatClient();
        var response = await client.GetResponseAsync(Sum, Greedy, Token);
        Assert.Equal("58 + 27 = 85", response.Text);
        Assert.NotEmpty(Assert.Single(response.Messages[0].Contents.OfType<TextReasoningContent>()).Text);
        Assert.InRange(response.Usage!.ReasoningTokenCount!.Value, 1, response.Usage.OutputTokenCount!.Value - 5);
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
        Assert.Equal("tiny-r1", response.ModelId);
        Assert.NotNull(response.ResponseId);
        Assert.Equal(response.Usage!.TotalTokenCount, response.Usage.InputTokenCount + response.Usage.OutputTokenCount);
        Assert.True(response.Usage.OutputTokenCount > 5);
        Assert.Null(response.ConversationId);
    }

    [Fact]
    public async Task A_stream_has_one_identity_one_usage_and_the_text_of_the_whole()
    {
        using var client = fixture.Value.AsIChatClient();
        var updates = await client.GetStreamingResponseAsync(Sum, Greedy, Token).ToListAsync(Token);
        Assert.True(updates.Count > 3);
        Assert.Single(updates.Select(update => (update.ResponseId, update.MessageId)).Distinct());
        Assert.Single(updates.SelectMany(update => update.Contents).OfType<UsageContent>());
        Assert.Equal(ChatFinishReason.Stop, updates[^1].FinishReason);
        Assert.Equal((await client.GetResponseAsync(Sum, Greedy, Token)).Text, updates.ToChatResponse().Text);
    }

    [Fact]
    public async Task Max_output_tokens_ends_with_length_and_stop_sequences_are_not_part_of_the_text()
    {
        using var client = fixture.Value.AsIChatClient();
        var cut = await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, MaxOutputTokens = 3 }, Token);
        Assert.Equal(ChatFinishReason.Length, cut.FinishReason);
        Assert.Equal(3, cut.Usage!.OutputTokenCount);
        var stopped = await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, StopSequences = ["</think>"] }, Token);
        Assert.Equal(ChatFinishReason.Stop, stopped.FinishReason);
        Assert.Equal("", stopped.Text);
    }

    [Fact]
    public async Task Instructions_join_the_system_message_and_the_callers_objects_stay_as_they_were()
    {
        using var client = fixture.Value.AsIChatClient();
        ChatMessage[] messages = [new(ChatRole.System, "Answer briefly."), .. Sum];
        var options = new ChatOptions { Temperature = 0, Instructions = "You are Tiny, a small reasoning model." };
        var response = await client.GetResponseAsync(messages, options, Token);
        Assert.Contains("85", response.Text, StringComparison.Ordinal);
        Assert.Equal(["Answer briefly.", "What is 58 + 27?"], messages.Select(message => message.Text));
    }

    [Fact]
    public async Task Unsupported_settings_are_refused_by_name()
    {
        using var client = fixture.Value.AsIChatClient();
        await AssertRefused(new ChatOptions { AdditionalProperties = new() { ["n"] = 2 } }, "n");
        await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, MaxOutputTokens = 1, AdditionalProperties = new() { ["stream_options"] = "x" } }, Token);
        var image = new ChatMessage(ChatRole.User, [new DataContent(new byte[] { 1 }, "image/png")]);
        Assert.Contains("DataContent", (await Assert.ThrowsAsync<NotSupportedException>(() => client.GetResponseAsync([image], Greedy, Token))).Message, StringComparison.Ordinal);
        Assert.Contains("other", (await Assert.ThrowsAsync<InvalidOperationException>(() => client.GetResponseAsync(Sum, new ChatOptions { ModelId = "other" }, Token))).Message, StringComparison.Ordinal);

        async Task AssertRefused(ChatOptions options, string name) =>
            Assert.Contains(name, (await Assert.ThrowsAsync<NotSupportedException>(() => client.GetResponseAsync(Sum, options, Token))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cancelling_a_stream_throws_and_frees_the_engine()
    {
        using var client = fixture.Value.AsIChatClient();
        using var source = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var update in client.GetStreamingResponseAsync(Sum, Greedy, source.Token))
                await source.CancelAsync();
        });
        await client.GetResponseAsync(Sum, Greedy, Token);
        Assert.Equal(fixture.Value.Statistics.KvBlocksTotal, fixture.Value.Statistics.KvBlocksFree);
    }

    [Fact]
    public void Null_arguments_are_refused_before_the_enumeration_and_services_are_found()
    {
        using var client = fixture.Value.AsIChatClient();
        Assert.Throws<ArgumentNullException>(() => client.GetStreamingResponseAsync((IEnumerable<ChatMessage>)null!, cancellationToken: Token));
        Assert.Equal("localllm", client.GetService<ChatClientMetadata>()!.ProviderName);
        Assert.Same(fixture.Value, client.GetService<LlmEngine>());
        Assert.Same(client, client.GetService<IChatClient>());
        Assert.Null(client.GetService(typeof(IChatClient), "key"));
    }

    [Fact]
    public async Task AddLocalLlm_gives_a_chat_client_whose_engine_lives_with_the_host()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
        using var host = builder.Build();
        await host.StartAsync(Token);
        var client = host.Services.GetRequiredService<IChatClient>();
        var engine = client.GetService<LlmEngine>()!;
        Assert.NotEmpty((await client.GetResponseAsync(Sum, cancellationToken: Token)).Text);
        await host.StopAsync(Token);
        Assert.False(engine.IsAlive);
    }

    [Fact]
    public async Task Semantic_Kernel_answers_a_prompt_through_the_engine()
    {
        var builder = Kernel.CreateBuilder();
        builder.AddLocalLlmChatCompletion(fixture.Value);
        var kernel = builder.Build();
        var answer = await kernel.InvokePromptAsync("What is 58 + 27?", new(new PromptExecutionSettings { ExtensionData = new Dictionary<string, object> { ["temperature"] = 0.0 } }), cancellationToken: Token);
        Assert.Contains("85", answer.ToString(), StringComparison.Ordinal);
    }
}
