using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.SemanticKernel;
using Microsoft.SemanticKernel.ChatCompletion;
using Microsoft.SemanticKernel.TextGeneration;
using Xunit;

namespace LocalLlm.SemanticKernel.Tests;

public sealed class SemanticKernelTests(EngineFixture fixture) : IClassFixture<EngineFixture>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_thought_and_the_finish_reason_are_kept()
    {
        var service = Kernel().GetRequiredService<IChatCompletionService>();
        var message = await service.GetChatMessageContentAsync(History("What is 58 + 27?"), new LocalLlmPromptExecutionSettings { Temperature = 0 }, cancellationToken: Token);
        Assert.Equal("58 + 27 = 85", message.Content);
        Assert.NotEmpty(Assert.Single(message.Items.OfType<ReasoningContent>()).Text);
        Assert.Equal("stop", message.Metadata!["FinishReason"]);
        Assert.NotNull(message.Metadata["Usage"]);
        var (thought, text) = ("", "");
        await foreach (var piece in service.GetStreamingChatMessageContentsAsync(History("What is 58 + 27?"), new LocalLlmPromptExecutionSettings { Temperature = 0 }, cancellationToken: Token))
            (thought, text) = (thought + string.Concat(piece.Items.OfType<StreamingReasoningContent>().Select(item => item.Text)), text + piece.Content);
        Assert.Equal(message.Content, text);
        Assert.Equal(message.Items.OfType<ReasoningContent>().Single().Text, thought);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Calls_that_the_caller_makes_name_plugin_and_function_and_their_results_go_back(bool streaming)
    {
        var kernel = Kernel();
        kernel.Plugins.AddFromFunctions("get", [KernelFunctionFactory.CreateFromMethod((int a, int b) => $"{a + b} degrees", "secret", "Gets the secret.")]);
        var service = kernel.GetRequiredService<IChatCompletionService>();
        var settings = new LocalLlmPromptExecutionSettings { Temperature = 0, FunctionChoiceBehavior = FunctionChoiceBehavior.Auto(autoInvoke: false) };
        var history = History("What is the secret for 7 and 56?");
        ChatMessageContent message;
        if (streaming)
        {
            var (builder, text) = (new FunctionCallContentBuilder(), "");
            await foreach (var piece in service.GetStreamingChatMessageContentsAsync(history, settings, kernel, Token))
            {
                builder.Append(piece);
                text += piece.Content;
            }

            // The adapter has added the call to the history, too.
            Assert.Equal("get", Assert.Single(Microsoft.SemanticKernel.FunctionCallContent.GetFunctionCalls(history[^1])).PluginName);
            history = History("What is the secret for 7 and 56?");
            message = new(AuthorRole.Assistant, text);
            foreach (var built in builder.Build())
                message.Items.Add(built);
        }
        else
        {
            message = await service.GetChatMessageContentAsync(history, settings, kernel, Token);
        }

        var call = Assert.Single(Microsoft.SemanticKernel.FunctionCallContent.GetFunctionCalls(message));
        Assert.Equal(("get", "secret"), (call.PluginName, call.FunctionName));
        Assert.DoesNotContain("Functions", message.Metadata?.Keys ?? []);
        history.Add(message);
        history.Add((await call.InvokeAsync(kernel, Token)).ToChatMessage());
        var answer = await service.GetChatMessageContentAsync(history, settings, kernel, Token);
        Assert.Equal("The secret is 63 degrees.", answer.Content);
    }

    [Fact]
    public async Task Functions_of_the_kernel_are_called_as_the_settings_say()
    {
        var kernel = Kernel();
        var calls = 0;
        kernel.Plugins.AddFromFunctions("get", [KernelFunctionFactory.CreateFromMethod(
            (int a, int b) =>
            {
                calls++;
                return $"{a + b} degrees";
            },
            "secret",
            "Gets the secret.")]);
        var service = kernel.GetRequiredService<IChatCompletionService>();
        var settings = new LocalLlmPromptExecutionSettings { Temperature = 0, FunctionChoiceBehavior = FunctionChoiceBehavior.Auto() };
        var answer = await service.GetChatMessageContentAsync(History("What is the secret for 7 and 56?"), settings, kernel, Token);
        Assert.Equal((1, "The secret is 63 degrees."), (calls, answer.Content));
        settings.FunctionChoiceBehavior = FunctionChoiceBehavior.Required();
        await service.GetChatMessageContentAsync(History("What is the secret for 7 and 56?"), settings, kernel, Token);
        Assert.Equal(2, calls);
        settings.FunctionChoiceBehavior = FunctionChoiceBehavior.None();
        await service.GetChatMessageContentAsync(History("What is the secret for 7 and 56?"), settings, kernel, Token);
        Assert.Equal(2, calls);
    }

    [Fact]
    public async Task Settings_of_another_kind_mean_the_same_to_the_text_service_and_frozen_ones_stay()
    {
        var service = new LocalLlmTextGenerationService(fixture.Value);
        var own = await service.GetTextContentAsync("Once upon a time", new LocalLlmPromptExecutionSettings { Temperature = 0, MaxTokens = 5 }, cancellationToken: Token);
        var other = await service.GetTextContentAsync("Once upon a time", new OtherSettings { Temperature = 0, MaxTokens = 5 }, cancellationToken: Token);
        Assert.Equal(own.Text, other.Text);
        var frozen = new LocalLlmPromptExecutionSettings { StopSequences = ["x"] };
        frozen.Freeze();
        Assert.Throws<InvalidOperationException>(() => frozen.Temperature = 1);
        Assert.Throws<NotSupportedException>(() => frozen.StopSequences!.Add("y"));
    }

    private sealed class OtherSettings : PromptExecutionSettings
    {
        [System.Text.Json.Serialization.JsonPropertyName("temperature")]
        public double Temperature { get; set; }

        [System.Text.Json.Serialization.JsonPropertyName("max_tokens")]
        public int MaxTokens { get; set; }
    }

    [Fact]
    public async Task A_text_service_continues_the_prompt_as_it_is_and_chat_prompts_go_to_the_chat_service()
    {
        var builder = Microsoft.SemanticKernel.Kernel.CreateBuilder();
        builder.AddLocalLlmTextGeneration(fixture.Value);
        var kernel = builder.Build();
        var service = kernel.GetRequiredService<ITextGenerationService>();
        var settings = new LocalLlmPromptExecutionSettings { Temperature = 0, MaxTokens = 8 };
        var text = await service.GetTextContentAsync("Once upon a time", settings, cancellationToken: Token);
        Assert.Equal("length", text.Metadata!["FinishReason"]);
        Assert.Equal(text.Text, string.Concat((await service.GetStreamingTextContentsAsync("Once upon a time", settings, cancellationToken: Token).ToListAsync(Token)).Select(piece => piece.Text)));
        Assert.Contains("85", (await kernel.InvokePromptAsync("<message role=\"user\">What is 58 + 27?</message>", new(new LocalLlmPromptExecutionSettings { Temperature = 0 }), cancellationToken: Token)).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_service_can_be_registered_under_an_id()
    {
        var services = new ServiceCollection();
        services.AddLocalLlmChatCompletion(fixture.Value, "a").AddLocalLlmTextGeneration(fixture.Value, "b").AddLocalLlmChatClient(fixture.Value, "c");
        using var provider = services.BuildServiceProvider();
        Assert.NotNull(provider.GetKeyedService<IChatCompletionService>("a"));
        Assert.NotNull(provider.GetKeyedService<ITextGenerationService>("b"));
        Assert.NotNull(provider.GetKeyedService<IChatCompletionService>("b"));
        Assert.NotNull(provider.GetKeyedService<IChatClient>("c"));
    }

    [Fact]
    public void Settings_of_any_kind_become_these_and_a_clone_is_equal()
    {
        var settings = LocalLlmPromptExecutionSettings.FromExecutionSettings(new PromptExecutionSettings { ExtensionData = new Dictionary<string, object> { ["temperature"] = 0.5, ["top_k"] = 7, ["other"] = "x" } });
        Assert.Equal((0.5, 7), (settings.Temperature, settings.TopK));
        var clone = (LocalLlmPromptExecutionSettings)settings.Clone();
        Assert.Equal((settings.Temperature, settings.TopK, "x"), (clone.Temperature, clone.TopK, clone.ExtensionData!["other"].ToString()));
        Assert.Same(settings, LocalLlmPromptExecutionSettings.FromExecutionSettings(settings));
    }

    private static ChatHistory History(string question)
    {
        var history = new ChatHistory();
        history.AddUserMessage(question);
        return history;
    }

    private Kernel Kernel()
    {
        var builder = Microsoft.SemanticKernel.Kernel.CreateBuilder();
        builder.AddLocalLlmChatCompletion(fixture.Value);
        return builder.Build();
    }
}
