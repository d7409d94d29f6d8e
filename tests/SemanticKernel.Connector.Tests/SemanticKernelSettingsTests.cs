using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using LocalLlm.Extensions.AI;
using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.SemanticKernel;
using Microsoft.SemanticKernel.ChatCompletion;
using Microsoft.SemanticKernel.TextGeneration;
using Xunit;
using TextContent = Microsoft.SemanticKernel.TextContent;

namespace LocalLlm.SemanticKernel.Tests;

/// <summary>Settings as users of Semantic Kernel write them are honoured or refused by name; so is every part of a history.</summary>
public sealed class SemanticKernelSettingsTests(EngineFixture fixture) : IClassFixture<EngineFixture>
{
    private const string Schema = """{"type":"object","properties":{"Sum":{"type":"integer"}},"required":["Sum"],"additionalProperties":false}""";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, object> Formats => new()
    {
        { "TYPE", typeof(Answer) },
        { "ELEMENT", JsonSerializer.Deserialize<JsonElement>(Schema) },
        { "NODE", JsonNode.Parse(Schema)! },
        { "TEXT", Schema },
        { "OPENAI", JsonSerializer.Deserialize<JsonElement>("{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"strict\":true,\"schema\":" + Schema + "}}") },
        { "EXTENSIONS_AI", ChatResponseFormat.ForJsonSchema<Answer>() },
        { "DICTIONARY", JsonSerializer.Deserialize<Dictionary<string, object?>>(Schema)! },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task A_response_format_of_any_form_holds_the_answer_to_it(string name, object format)
    {
        foreach (var settings in new PromptExecutionSettings[]
        {
            new LocalLlmPromptExecutionSettings { Temperature = 0, ResponseFormat = format, ReasoningEffort = "none", MaxTokens = 300 },
            new() { ExtensionData = new Dictionary<string, object> { ["temperature"] = 0, ["response_format"] = format, ["reasoning_effort"] = "none", ["max_tokens"] = 300 } },
            new OtherSettings { Temperature = 0, ResponseFormat = format, ReasoningEffort = "none", MaxTokens = 300 },
        })
        {
            var chat = await Chat().GetChatMessageContentAsync(History("What is 58 + 27?"), settings, cancellationToken: Token);
            Assert.Contains(name == "EXTENSIONS_AI" ? "\"sum\"" : "\"Sum\"", chat.Content, StringComparison.Ordinal);
            Assert.Equal(JsonValueKind.Object, JsonDocument.Parse(chat.Content!).RootElement.ValueKind);
        }

        var text = await new LocalLlmTextGenerationService(fixture.Value).GetTextContentAsync("1 + 1", new LocalLlmPromptExecutionSettings { Temperature = 0, ResponseFormat = format, MaxTokens = 300 }, cancellationToken: Token);
        Assert.StartsWith("{", text.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("json_object", true)]
    [InlineData("text", false)]
    public async Task A_response_format_may_be_a_word(string word, bool isJson)
    {
        var settings = new LocalLlmPromptExecutionSettings { Temperature = 0, ResponseFormat = word, ReasoningEffort = "none", MaxTokens = 300 };
        var answer = await Chat().GetChatMessageContentAsync(History("What is 58 + 27?"), settings, cancellationToken: Token);
        Assert.Equal(isJson, answer.Content!.TrimStart().StartsWith('{'));
    }

    [Fact]
    public async Task An_invalid_response_format_is_refused_with_what_is_allowed()
    {
        foreach (var format in new object[] { "xml", 5, new object(), JsonSerializer.SerializeToElement(new { type = "json_schema" }) })
        {
            var settings = new LocalLlmPromptExecutionSettings { ResponseFormat = format };
            var error = await Assert.ThrowsAsync<NotSupportedException>(() => Chat().GetChatMessageContentAsync(History("q"), settings, cancellationToken: Token));
            Assert.Contains("response_format", error.Message, StringComparison.Ordinal);
            Assert.Contains("json_object", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("none", true)]
    [InlineData("None", true)]
    [InlineData("low", false)]
    public async Task An_effort_limits_the_thought(string effort, bool isOff)
    {
        foreach (var settings in new PromptExecutionSettings[]
        {
            new LocalLlmPromptExecutionSettings { Temperature = 0, ReasoningEffort = effort },
            new() { ExtensionData = new Dictionary<string, object> { ["Temperature"] = "0", ["reasoning_effort"] = JsonSerializer.SerializeToElement(effort) } },
            new OtherSettings { ReasoningEffort = effort },
        })
        {
            var answer = await Chat().GetChatMessageContentAsync(History("What is 58 + 27?"), settings, cancellationToken: Token);
            var thought = string.Concat(answer.Items.OfType<ReasoningContent>().Select(item => item.Text));
            Assert.True(isOff == (thought.Trim().Length == 0), $"{settings.GetType().Name}: '{thought}'");
        }
    }

    [Theory]
    [InlineData("frobnicate", 1)]
    [InlineData("keep_alive", "5m")]
    [InlineData("tool_call_behavior", "auto")]
    [InlineData("n", 2)]
    [InlineData("num_ctx", 4096)]
    [InlineData("guided_whitespace_pattern", "x")]
    public async Task What_is_not_honoured_is_refused_by_name_in_settings_of_any_kind(string name, object value)
    {
        var data = new Dictionary<string, object> { [name] = value };
        foreach (var settings in new PromptExecutionSettings[] { new() { ExtensionData = data }, new LocalLlmPromptExecutionSettings { ExtensionData = data }, new OtherSettings { ExtensionData = data } })
        {
            var chat = await Assert.ThrowsAnyAsync<Exception>(() => Chat().GetChatMessageContentAsync(History("q"), settings, cancellationToken: Token));
            Assert.Contains(name, chat.Message, StringComparison.Ordinal);
            var text = await Assert.ThrowsAnyAsync<Exception>(() => new LocalLlmTextGenerationService(fixture.Value).GetTextContentAsync("q", settings, cancellationToken: Token));
            Assert.Contains(name, text.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("temperature", "warm")]
    [InlineData("max_tokens", 2.5)]
    [InlineData("reasoning_effort", "enormous")]
    [InlineData("top_k", "[]")]
    public async Task A_wrong_value_is_refused_by_the_name_of_its_field(string name, object value)
    {
        var settings = new PromptExecutionSettings { ExtensionData = new Dictionary<string, object> { [name] = value } };
        Assert.Contains(name, (await Assert.ThrowsAsync<EngineException>(() => Chat().GetChatMessageContentAsync(History("q"), settings, cancellationToken: Token))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_of_other_connectors_mean_the_same()
    {
        var settings = new PromptExecutionSettings { ExtensionData = new Dictionary<string, object> { ["temperature"] = 0, ["num_predict"] = 3, ["user"] = "me", ["n"] = 1 } };
        Assert.Equal("length", (await Chat().GetChatMessageContentAsync(History("What is 58 + 27?"), settings, cancellationToken: Token)).Metadata!["FinishReason"]);
        settings = new() { ExtensionData = new Dictionary<string, object> { ["temperature"] = 0, ["stop"] = "=", ["min_p"] = 0.1, ["thinking"] = new Dictionary<string, object> { ["type"] = "disabled" } } };
        var stopped = await Chat().GetChatMessageContentAsync(History("What is 58 + 27?"), settings, cancellationToken: Token);
        Assert.Equal("stop", stopped.Metadata!["FinishReason"]);
        Assert.DoesNotContain("=", stopped.Content ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public async Task System_prompts_of_settings_and_system_messages_anywhere_reach_the_model()
    {
        using var prompts = new Prompts(fixture.Value);
        var service = new LocalLlmChatCompletionService(prompts);
        var history = History("q");
        history.AddSystemMessage("LATE");
        history.AddDeveloperMessage("DEVELOPER");
        await service.GetChatMessageContentAsync(history, cancellationToken: Token);
        Assert.StartsWith("<｜begin▁of▁sentence｜>LATE\n\nDEVELOPER<｜User｜>q", prompts.Last, StringComparison.Ordinal);
        await service.GetChatMessageContentAsync(History("q"), new PromptExecutionSettings { ExtensionData = new Dictionary<string, object> { ["chat_system_prompt"] = "FROM SETTINGS" } }, cancellationToken: Token);
        Assert.StartsWith("<｜begin▁of▁sentence｜>FROM SETTINGS<｜User｜>q", prompts.Last, StringComparison.Ordinal);
    }

    public static TheoryData<string, KernelContent> Refusals => new()
    {
        { "FileReferenceContent", new FileReferenceContent("file") },
        { "AnnotationContent", new Microsoft.SemanticKernel.Agents.AnnotationContent(Microsoft.SemanticKernel.Agents.AnnotationKind.FileCitation, "label", "file") },
        { "ImageContent", new ImageContent() },
        { "DataContent (image/png)", new ImageContent(new byte[] { 1 }, "image/png") },
        { "UriContent", new ImageContent(new Uri("https://example.org/a.png")) },
        { "DataContent (audio/wav)", new AudioContent(new byte[] { 1 }, "audio/wav") },
        { "DataContent (application/pdf)", new BinaryContent(new byte[] { 1 }, "application/pdf") },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task Items_that_no_text_can_say_are_refused_by_name_in_every_role(string name, KernelContent item)
    {
        foreach (var role in new[] { AuthorRole.User, AuthorRole.Assistant, AuthorRole.System, AuthorRole.Tool })
        {
            var history = History("q");
            history.Add(new(role, new ChatMessageContentItemCollection { new TextContent("t"), item }));
            Assert.Contains(name, (await Assert.ThrowsAsync<NotSupportedException>(() => Chat().GetChatMessageContentAsync(history, cancellationToken: Token))).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Thoughts_calls_results_and_text_files_are_taken_and_the_history_stays_the_callers()
    {
        using var prompts = new Prompts(fixture.Value);
        var history = History("q");
        history.Add(new(AuthorRole.Assistant, new ChatMessageContentItemCollection { new ReasoningContent("hm"), new TextContent("yes"), new Microsoft.SemanticKernel.FunctionCallContent("f", "p", "1", new() { ["a"] = 1 }) }));
        history.Add(new(AuthorRole.Tool, new ChatMessageContentItemCollection { new Microsoft.SemanticKernel.FunctionResultContent("f", "p", "1", new InvalidOperationException("no such city")) }));
        history.Add(new(AuthorRole.User, new ChatMessageContentItemCollection { new BinaryContent(System.Text.Encoding.UTF8.GetBytes("file text"), "text/plain") }));
        await new LocalLlmChatCompletionService(prompts).GetChatMessageContentAsync(history, cancellationToken: Token);
        foreach (var part in new[] { "<｜Assistant｜>yes", "Error: no such city", "<｜User｜>file text" })
            Assert.Contains(part, prompts.Last, StringComparison.Ordinal);
        Assert.Equal(4, history.Count);
        Assert.Null(history[1].Metadata);
    }

    [Fact]
    public async Task A_custom_role_that_the_template_does_not_write_is_refused_by_name()
    {
        var history = History("q");
        history.AddMessage(new AuthorRole("critic"), "bad");
        Assert.Contains("'critic'", (await Assert.ThrowsAsync<EngineException>(() => Chat().GetChatMessageContentAsync(history, cancellationToken: Token))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("key")]
    public async Task A_kernel_is_registered_with_the_services(string? key)
    {
        var services = new ServiceCollection();
        (key is null ? services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1) : services.AddKeyedLocalLlm(key, options => options.ModelPath = TestPaths.TinyR1)).AddSemanticKernel();
        await using var provider = services.BuildServiceProvider();
        var kernel = provider.GetRequiredService<Kernel>();
        Assert.NotSame(kernel, provider.GetRequiredService<Kernel>());
        Assert.Contains("85", (await kernel.InvokePromptAsync("What is 58 + 27?", new(new LocalLlmPromptExecutionSettings { Temperature = 0, ServiceId = key }), cancellationToken: Token)).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_kernel_of_the_callers_own_stays_the_only_one()
    {
        var services = new ServiceCollection();
        services.AddKernel();
        services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1).AddSemanticKernel().AddSemanticKernel();
        Assert.Single(services, service => service.ServiceType == typeof(Kernel));
    }

    private static ChatHistory History(string question) => new() { new ChatMessageContent(AuthorRole.User, question) };

    private LocalLlmChatCompletionService Chat() => new(fixture.Value.AsIChatClient());

    private sealed record Answer(int Sum);

    // Settings in the style of OpenAI's and Ollama's connectors.
    private sealed class OtherSettings : PromptExecutionSettings
    {
        [JsonPropertyName("temperature")]
        public double? Temperature { get; set; } = 0;

        [JsonPropertyName("response_format")]
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public object? ResponseFormat { get; set; }

        [JsonPropertyName("reasoning_effort")]
        public object? ReasoningEffort { get; set; }

        [JsonPropertyName("max_tokens")]
        public int? MaxTokens { get; set; }

        [JsonPropertyName("safe_prompt")]
        public bool SafePrompt { get; set; }

        [JsonPropertyName("stop")]
        public List<string> Stop { get; set; } = [];
    }
}
