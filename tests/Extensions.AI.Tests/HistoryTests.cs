using System.Text;
using System.Text.Json;
using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>Every part of a history reaches the model, is mapped by the rule of docs/guides/extensions-ai.md, or is refused by
/// name.</summary>
public sealed class HistoryTests(EngineFixture fixture) : IClassFixture<EngineFixture>
{
    private const string Calls = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>";
    private const string Output = "<｜tool▁output▁begin｜>";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("system", "user", "system")]
    [InlineData("user", "system")]
    [InlineData("system", "system", "user")]
    [InlineData("user", "developer", "user")]
    [InlineData("System", "USER", "system")]
    public async Task Instructions_and_every_system_message_reach_the_model_in_any_order(params string[] roles)
    {
        var messages = roles.Select((role, i) => new ChatMessage(new(role), $"text{i}")).ToArray();
        var prompt = await Prompt(messages, new() { Instructions = "INSTRUCTIONS" });
        var front = prompt.Split("<｜User｜>")[0];
        Assert.StartsWith("<｜begin▁of▁sentence｜>INSTRUCTIONS\n", front, StringComparison.Ordinal);
        for (var i = 0; i < roles.Length; i++)
            Assert.Contains($"text{i}", new ChatRole(roles[i]) == ChatRole.User ? prompt : front, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_role_that_the_template_does_not_write_is_refused_by_name()
    {
        var error = await Assert.ThrowsAsync<EngineException>(() => Prompt([new(ChatRole.User, "q"), new(new("critic"), "bad")]));
        Assert.Contains("'critic'", error.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, AIContent, string> Texts => new()
    {
        { "TEXT", new TextContent("plain"), "plain" },
        { "ERROR", new ErrorContent("it broke"), "Error: it broke" },
        { "ERROR_CODE", new ErrorContent("it broke") { ErrorCode = "E1", Details = "badly" }, "Error: it broke (E1)\nbadly" },
        { "REFUSAL", new ErrorContent("I will not") { ErrorCode = "Refusal" }, "I will not" },
        { "TEXT_FILE", new DataContent(Encoding.UTF8.GetBytes("# Titel"), "text/markdown"), "# Titel" },
        { "JSON_FILE", new DataContent(Encoding.UTF8.GetBytes("{\"a\":1}"), "application/json"), "{\"a\":1}" },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public async Task Contents_that_are_text_are_text_in_every_role(string name, AIContent content, string text)
    {
        Assert.NotEmpty(name);
        foreach (var role in new[] { ChatRole.System, ChatRole.User, ChatRole.Assistant, ChatRole.Tool })
            Assert.Contains(text, await Prompt([new(role, [content]), new(ChatRole.User, "q")]), StringComparison.Ordinal);
    }

    public static TheoryData<string, AIContent> Refusals => new()
    {
        { "DataContent (image/png)", new DataContent(new byte[] { 1 }, "image/png") },
        { "DataContent (audio/wav)", new DataContent(new byte[] { 1 }, "audio/wav") },
        { "UriContent (image/png)", new UriContent("https://example.org/a.png", "image/png") },
        { "HostedFileContent", new HostedFileContent("file") },
        { "HostedVectorStoreContent", new HostedVectorStoreContent("store") },
        { "AIContent", new AIContent() },
        { "In a FunctionResultContent: A message holds DataContent (image/png)", new FunctionResultContent("1", new AIContent[] { new TextContent("a"), new DataContent(new byte[] { 1 }, "image/png") }) },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task Contents_that_no_text_can_say_are_refused_by_name_in_every_role(string name, AIContent content)
    {
        foreach (var role in new[] { ChatRole.System, ChatRole.User, ChatRole.Assistant, ChatRole.Tool })
            Assert.Contains(name, (await Assert.ThrowsAsync<NotSupportedException>(() => Prompt([new(role, [content]), new(ChatRole.User, "q")]))).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, object?, Exception?, string> Results => new()
    {
        { "TEXT", "42", null, "42" },
        { "NULL", null, null, "" },
        { "EXCEPTION", null, new InvalidOperationException("no such city"), "Error: no such city" },
        { "RESULT_AND_EXCEPTION", "Error: Function failed.", new InvalidOperationException("secret"), "Error: Function failed." },
        { "EXCEPTION_AS_RESULT", new InvalidOperationException("no such city"), null, "Error: no such city" },
        { "OBJECT", new { a = 1 }, null, "{\n  \"a\": 1\n}" },
        { "JSON_TEXT", JsonSerializer.SerializeToElement("x"), null, "x" },
        { "CONTENTS", new AIContent[] { new TextContent("one"), new TextContent("two") }, null, "one\ntwo" },
        { "ERROR_CONTENT", new ErrorContent("bad"), null, "Error: bad" },
    };

    [Theory]
    [MemberData(nameof(Results))]
    public async Task Results_of_tools_reach_the_model_with_what_went_wrong(string name, object? result, Exception? exception, string text)
    {
        Assert.NotEmpty(name);
        var prompt = await Prompt([User("q"), new(ChatRole.Assistant, [new FunctionCallContent("1", "f")]), new(ChatRole.Tool, [new FunctionResultContent("1", result) { Exception = exception }])]);
        Assert.Contains($"{Output}{text}<｜tool▁output▁end｜>", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Thoughts_and_usage_are_left_out_of_what_the_assistant_said()
    {
        var prompt = await Prompt([User("q"), new(ChatRole.Assistant, [new TextReasoningContent("hm"), new TextContent("yes"), new UsageContent(new())]), User("r")]);
        Assert.Contains("<｜Assistant｜>yes<｜end▁of▁sentence｜><｜User｜>r", prompt, StringComparison.Ordinal);
    }

    public static TheoryData<string, AIContent, string> OtherCalls => new()
    {
        { "MCP", new McpServerToolCallContent("1", "search_docs", "server") { Arguments = new Dictionary<string, object?> { ["q"] = "x" } }, "search_docs\n```json\n{\"q\": \"x\"}" },
        { "CODE", new CodeInterpreterToolCallContent("1") { Inputs = [new TextContent("print(1)")] }, "code_interpreter\n```json\n{\"code\": \"print(1)\"}" },
        { "WEB", new WebSearchToolCallContent("1") { Queries = ["cats"] }, "web_search\n```json\n{\"queries\": [\"cats\"]}" },
        { "IMAGE", new ImageGenerationToolCallContent("1"), "image_generation\n```json\n{}" },
        { "APPROVAL", new ToolApprovalRequestContent("r", new FunctionCallContent("1", "pay", new Dictionary<string, object?> { ["sum"] = 1 })), "pay\n```json\n{\"sum\": 1}" },
        { "INFORMATIONAL", new FunctionCallContent("1", "f") { InformationalOnly = true }, "f\n```json\n{}" },
    };

    [Theory]
    [MemberData(nameof(OtherCalls))]
    public async Task Calls_of_other_services_are_calls_whosever_message_holds_them(string name, AIContent call, string text)
    {
        Assert.NotEmpty(name);
        foreach (var role in new[] { ChatRole.Assistant, ChatRole.User })
            Assert.Contains(Calls + text, await Prompt([User("q"), new(role, [call]), User("r")]), StringComparison.Ordinal);
    }

    public static TheoryData<string, AIContent, string> OtherResults => new()
    {
        { "MCP", new McpServerToolResultContent("1") { Outputs = [new TextContent("found")] }, "found" },
        { "CODE", new CodeInterpreterToolResultContent("1") { Outputs = [new TextContent("1"), new ErrorContent("bad")] }, "1\nError: bad" },
        { "WEB", new WebSearchToolResultContent("1") { Outputs = [new TextContent("cats")] }, "cats" },
        { "REJECTED", new ToolApprovalResponseContent("r", false, new FunctionCallContent("1", "pay")) { Reason = "too much" }, "Tool call invocation rejected. too much" },
    };

    [Theory]
    [MemberData(nameof(OtherResults))]
    public async Task Results_of_other_services_are_results(string name, AIContent result, string text)
    {
        Assert.NotEmpty(name);
        Assert.Contains($"{Output}{text}<｜tool▁output▁end｜>", await Prompt([User("q"), new(ChatRole.Assistant, [new FunctionCallContent("1", "f")]), new(ChatRole.User, [result])]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_approval_that_became_a_call_is_not_a_second_one()
    {
        var call = new FunctionCallContent("1", "pay");
        var prompt = await Prompt([User("q"), new(ChatRole.Assistant, [new ToolApprovalRequestContent("r", call)]), new(ChatRole.User, [new ToolApprovalResponseContent("r", true, call)]), new(ChatRole.Assistant, [call]), new(ChatRole.Tool, [new FunctionResultContent("1", "paid")])]);
        Assert.Equal(2, prompt.Split("pay\n").Length);
    }

    [Fact]
    public async Task A_call_its_result_and_the_text_after_it_keep_their_order_in_one_message()
    {
        var prompt = await Prompt([User("q"), new(ChatRole.Assistant, [new TextContent("Let me see. "), new FunctionCallContent("1", "f"), new FunctionResultContent("1", "42"), new TextContent("It is 42.")]), User("r")]);
        int[] places = [prompt.IndexOf("Let me see.", StringComparison.Ordinal), prompt.IndexOf(Calls, StringComparison.Ordinal), prompt.IndexOf(Output + "42", StringComparison.Ordinal), prompt.IndexOf("It is 42.", StringComparison.Ordinal)];
        Assert.DoesNotContain(-1, places);
        Assert.Equal(places.Order(), places);
    }

    [Theory]
    [InlineData("{\"city\": \"Par")]
    [InlineData("[1")]
    public async Task Malformed_arguments_of_the_models_own_call_go_back_as_it_wrote_them(string arguments)
    {
        var call = ChatToolMappingOf("get_weather", arguments);
        Assert.NotNull(call.Exception);
        Assert.Contains($"get_weather\n```json\n{arguments}\n```", await Prompt([User("q"), new(ChatRole.Assistant, [call]), new(ChatRole.Tool, [new FunctionResultContent(call.CallId, "Error")])]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Malformed_arguments_are_a_warning_in_the_log_of_the_engine()
    {
        using var logs = new CollectedLogs();
        await using var engine = await LlmEngine.LoadAsync(new EngineOptions { ModelPath = TestPaths.TinyR1, LoggerFactory = logs, NumGpuBlocksOverride = 256 }, null, Token);
        await Prompts.Of(engine, [User("q"), new(ChatRole.Assistant, [ChatToolMappingOf("get_weather", "{\"city\"")])], null, Token);
        Assert.Contains("(functions: get_weather)", Assert.Single(logs.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_that_a_history_may_hold_around_calls_ends_the_chat()
    {
        ChatMessage[] odd =
        [
            new(ChatRole.Assistant, (string?)null), new(ChatRole.Assistant, ""), new(ChatRole.Assistant, []), new(ChatRole.Assistant, [new UsageContent(new())]), new(ChatRole.Tool, "42"),
            new(ChatRole.Tool, [new FunctionResultContent("nobody", "42")]), new(ChatRole.Assistant, [new FunctionCallContent("1", "f"), new FunctionCallContent("1", "f")]),
            new(ChatRole.Assistant, [new FunctionCallContent("", "f", null) { Exception = new FormatException() }]), new(ChatRole.Assistant, "half \ud83d of a pair"),
            new(ChatRole.Assistant, [new FunctionCallContent("2", "f", new Dictionary<string, object?> { ["a"] = "\udc00" })]),
        ];
        foreach (var message in odd)
            Assert.Contains("<｜User｜>r", await Prompt([User("q"), message, User("r")]), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_required_tool_that_is_not_among_the_tools_is_named_with_those_that_are(bool hasTools)
    {
        var options = new ChatOptions { ToolMode = ChatToolMode.RequireSpecific("get_time"), Tools = hasTools ? [AIFunctionFactory.Create(() => 1, "add"), AIFunctionFactory.Create(() => 1, "sub")] : [] };
        var error = await Assert.ThrowsAsync<EngineException>(() => Prompt([User("q")], options));
        Assert.Contains("'get_time'", error.Message, StringComparison.Ordinal);
        Assert.Contains(hasTools ? "the tools of the request are 'add', 'sub'" : "the request has no tools", error.Message, StringComparison.Ordinal);
        Assert.Contains("Add 'get_time' to ChatOptions.Tools", error.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, object?> Thinking => new()
    {
        { "thinking", JsonSerializer.SerializeToElement(new { type = "disabled" }) },
        { "thinking", new Dictionary<string, object?> { ["type"] = "disabled" } },
        { "thinking", false },
        { "enable_thinking", false },
        { "reasoning_effort", "none" },
        { "reasoning", new Dictionary<string, object?> { ["enabled"] = false } },
        { "reasoning", new Dictionary<string, object?> { ["effort"] = "none", ["exclude"] = false } },
        { "think", false },
        { "thinking_budget", 0 },
    };

    [Theory]
    [MemberData(nameof(Thinking))]
    public async Task Additional_properties_turn_thinking_off_under_every_name(string name, object? value)
    {
        using var client = fixture.Value.AsIChatClient();
        var response = await client.GetResponseAsync([User("What is 58 + 27?")], new() { Temperature = 0, AdditionalProperties = new() { [name] = value } }, Token);
        Assert.Equal(0, response.Usage!.ReasoningTokenCount);
    }

    public static TheoryData<string, object?> Excluded => new()
    {
        { "reasoning", new Dictionary<string, object?> { ["exclude"] = true } },
        { "include_reasoning", false },
    };

    [Theory]
    [MemberData(nameof(Excluded))]
    public async Task Additional_properties_leave_thoughts_out_of_the_response(string name, object? value)
    {
        using var client = fixture.Value.AsIChatClient();
        var response = await client.GetResponseAsync([User("What is 58 + 27?")], new() { Temperature = 0, AdditionalProperties = new() { [name] = value } }, Token);
        Assert.True(response.Usage!.ReasoningTokenCount > 0);
        Assert.DoesNotContain(response.Messages.SelectMany(message => message.Contents), content => content is TextReasoningContent);
    }

    public static TheoryData<string, object?, string> Guided => new()
    {
        { "guided_choice", new[] { "red", "green" }, "^(red|green)$" },
        { "guided_regex", "[0-9]{3}", "^[0-9]{3}$" },
        { "guided_grammar", "root ::= \"yes\" | \"no\"", "^(yes|no)$" },
        { "guided_json", JsonSerializer.SerializeToElement(new { type = "object", properties = new { a = new { type = "boolean" } }, required = new[] { "a" }, additionalProperties = false }), "^\\{\\s*\"a\"\\s*:\\s*(true|false)\\s*\\}$" },
        { "guided_json", "{\"enum\": [7]}", "^7$" },
        { "regex", "[0-9]{3}", "^[0-9]{3}$" },
        { "ebnf", "root ::= \"yes\" | \"no\"", "^(yes|no)$" },
        { "grammar", "root ::= \"yes\" | \"no\"", "^(yes|no)$" },
        { "json_schema", new Dictionary<string, object?> { ["enum"] = new[] { 7 } }, "^7$" },
        { "format", new Dictionary<string, object?> { ["enum"] = new[] { 7 } }, "^7$" },
    };

    [Theory]
    [MemberData(nameof(Guided))]
    public async Task Additional_properties_hold_the_answer_to_a_structure_under_the_older_names(string name, object? value, string pattern)
    {
        using var client = fixture.Value.AsIChatClient();
        var options = new ChatOptions { Temperature = 0, MaxOutputTokens = 400, AdditionalProperties = new() { [name] = value, ["guided_decoding_backend"] = "xgrammar", ["thinking"] = false } };
        Assert.Matches(pattern, (await client.GetResponseAsync([User("What is 58 + 27?")], options, Token)).Text);
    }

    [Theory]
    [InlineData("guided_whitespace_pattern", " ?")]
    [InlineData("guided_decoding_backend", "mine")]
    [InlineData("guided_future_kind", "x")]
    [InlineData("thinking", "off")]
    [InlineData("think", "off")]
    [InlineData("reasoning", "low")]
    [InlineData("structural_tag", "{}")]
    [InlineData("format", "yaml")]
    public async Task What_is_not_honoured_under_these_names_is_refused_by_them(string name, string value)
    {
        var error = await Assert.ThrowsAnyAsync<Exception>(() => Prompt([User("q")], new() { AdditionalProperties = new() { [name] = value } }));
        Assert.True(error is EngineException or NotSupportedException);
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
    }

    private static ChatMessage User(string text) => new(ChatRole.User, text);

    // Creates a call as this client does from the model's output.
    private static FunctionCallContent ChatToolMappingOf(string name, string arguments)
    {
        var call = FunctionCallContent.CreateFromParsedArguments(arguments, "1", name, static json => JsonSerializer.Deserialize<Dictionary<string, object?>>(json));
        call.RawRepresentation = arguments;
        return call;
    }

    private Task<string> Prompt(IEnumerable<ChatMessage> messages, ChatOptions? options = null) => Prompts.Of(fixture.Value, messages, options, Token);
}
