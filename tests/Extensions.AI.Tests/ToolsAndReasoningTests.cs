using System.Text.Json;
using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>Thoughts, tools and the related options, over the real tiny model, which can call tools.</summary>
public sealed class ToolsAndReasoningTests(EngineFixture fixture) : IClassFixture<EngineFixture>
{
    private const string Question = "What is the secret for 7 and 56?";
    private static readonly ChatMessage[] Sum = [new(ChatRole.User, "What is 58 + 27?")];
    private static readonly AIFunction GetSecret = AIFunctionFactory.Create((int a, int b) => $"{a + b} degrees", "get_secret", "Gets the secret.");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static ChatOptions WithTools => new() { Temperature = 0, Tools = [GetSecret] };

    [Fact]
    public async Task A_call_is_one_whole_item_with_an_id_of_its_own_and_typed_arguments()
    {
        using var client = fixture.Value.AsIChatClient();
        var updates = await client.GetStreamingResponseAsync(Question, WithTools, Token).ToListAsync(Token);
        var call = Assert.Single(updates.SelectMany(update => update.Contents).OfType<FunctionCallContent>());
        Assert.Equal(("get_secret", "7", "56"), (call.Name, call.Arguments!["a"]!.ToString(), call.Arguments["b"]!.ToString()));
        Assert.Null(call.Exception);
        Assert.Equal(ChatFinishReason.ToolCalls, updates[^1].FinishReason);
        Assert.DoesNotContain("tool", updates.ToChatResponse().Text, StringComparison.Ordinal);
        var again = await client.GetResponseAsync(Question, WithTools, Token);
        Assert.NotEqual(call.CallId, Assert.Single(again.Messages[0].Contents.OfType<FunctionCallContent>()).CallId);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_middleware_of_the_library_calls_the_tool_and_the_model_answers_from_its_result(bool streaming)
    {
        using var client = fixture.Value.AsIChatClient().AsBuilder().UseFunctionInvocation().Build();
        var response = streaming
            ? await client.GetStreamingResponseAsync(Question, WithTools, Token).ToChatResponseAsync(Token)
            : await client.GetResponseAsync(Question, WithTools, Token);
        Assert.Equal("The secret is 63 degrees.", response.Messages[^1].Text);
        Assert.Equal([ChatRole.Assistant, ChatRole.Tool, ChatRole.Assistant], response.Messages.Select(message => message.Role));
    }

    [Fact]
    public async Task Required_calls_are_made_whatever_the_question_with_arguments_by_the_schema()
    {
        using var client = fixture.Value.AsIChatClient();
        var weather = AIFunctionFactory.Create((CitySize size, int[] days, string? unit = null) => "warm", "get_weather", "Gets the weather.");
        foreach (var seed in Enumerable.Range(0, 8))
        {
            var options = new ChatOptions { Temperature = 1, Seed = seed, MaxOutputTokens = 600, Tools = [GetSecret, weather], ToolMode = ChatToolMode.RequireAny, Reasoning = new() { Effort = ReasoningEffort.Low } };
            var response = await client.GetResponseAsync("Once upon a time", options, Token);
            var calls = response.Messages[0].Contents.OfType<FunctionCallContent>().ToArray();
            Assert.True(response.FinishReason == ChatFinishReason.Length || calls.Length > 0);
            Assert.All(response.FinishReason == ChatFinishReason.Length ? calls.SkipLast(1) : calls, call => Assert.Null(call.Exception));
            Assert.True(response.FinishReason == ChatFinishReason.Length || response.Text.Trim().Length == 0, response.Text);

            options.ToolMode = ChatToolMode.RequireSpecific("get_weather");
            response = await client.GetResponseAsync("Once upon a time", options, Token);
            if (response.FinishReason == ChatFinishReason.Length)
                continue;
            var call = Assert.Single(response.Messages[0].Contents.OfType<FunctionCallContent>());
            Assert.Equal("get_weather", call.Name);
            Assert.Contains(call.Arguments!["size"]!.ToString(), new[] { "Small", "Large" });
            Assert.All(call.Arguments.Keys, key => Assert.Contains(key, new[] { "size", "days", "unit" }));
        }
    }

    [Fact]
    public async Task A_required_call_that_cannot_be_made_is_refused_with_the_reason()
    {
        using var client = fixture.Value.AsIChatClient();
        var failure = await Assert.ThrowsAsync<EngineException>(() => client.GetResponseAsync(Sum, new ChatOptions { ToolMode = ChatToolMode.RequireAny }, Token));
        Assert.Contains("tool_choice", failure.Message, StringComparison.Ordinal);
        failure = await Assert.ThrowsAsync<EngineException>(() => client.GetResponseAsync(Sum, new ChatOptions { Tools = [GetSecret], ToolMode = ChatToolMode.RequireSpecific("other") }, Token));
        Assert.Contains("get_secret", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Required_calls_come_through_the_middleware_and_are_answered_from()
    {
        using var client = fixture.Value.AsIChatClient().AsBuilder().UseFunctionInvocation().Build();
        var response = await client.GetResponseAsync(Question, new ChatOptions { Temperature = 0, Tools = [GetSecret], ToolMode = ChatToolMode.RequireAny, AllowMultipleToolCalls = false }, Token);
        Assert.Equal("The secret is 63 degrees.", response.Messages[^1].Text);
    }

    [Fact]
    public async Task A_strict_tool_leaves_the_model_free_not_to_call()
    {
        using var client = fixture.Value.AsIChatClient();
        var options = new ChatOptions { Temperature = 0, Tools = [GetSecret], AdditionalProperties = new() { ["strict"] = true } };
        Assert.Equal("58 + 27 = 85", (await client.GetResponseAsync(Sum, options, Token)).Text);
        var response = await client.GetResponseAsync(Question, options, Token);
        Assert.Equal("get_secret", Assert.Single(response.Messages[0].Contents.OfType<FunctionCallContent>()).Name);
    }

    [Fact]
    public async Task A_structure_beside_tools_is_enforced_or_a_tool_is_called()
    {
        using var client = fixture.Value.AsIChatClient();
        var options = new ChatOptions { Temperature = 0, MaxOutputTokens = 300, Tools = [GetSecret], ResponseFormat = ChatResponseFormat.ForJsonSchema<Secret>() };
        List<ChatMessage> messages = [new(ChatRole.User, Question)];
        var response = await client.GetResponseAsync(messages, options, Token);
        var call = Assert.Single(response.Messages[0].Contents.OfType<FunctionCallContent>());
        Assert.Equal("", response.Text);

        // After the tool's result, the response is the JSON and not another call.
        messages.AddRange([.. response.Messages, new(ChatRole.Tool, [new FunctionResultContent(call.CallId, "63 degrees")])]);
        response = await client.GetResponseAsync(messages, options, Token);
        Assert.Empty(response.Messages[0].Contents.OfType<FunctionCallContent>());
        Assert.Equal(63, JsonSerializer.Deserialize<Secret>(response.Text, JsonSerializerOptions.Web)!.Degrees);
    }

    [Fact]
    public async Task A_typed_response_with_a_tool_takes_one_call_and_is_json()
    {
        using var client = fixture.Value.AsIChatClient().AsBuilder().UseFunctionInvocation().Build();
        var response = await client.GetResponseAsync<Secret>(Question, new ChatOptions { Temperature = 0, Tools = [GetSecret] }, cancellationToken: Token);
        Assert.Single(response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>());
        Assert.Equal(63, response.Result.Degrees);
    }

    [Fact]
    public async Task A_call_that_the_token_limit_cuts_off_is_a_call_that_did_not_parse()
    {
        using var client = fixture.Value.AsIChatClient();
        var whole = await client.GetResponseAsync(Question, WithTools, Token);
        var (cut, isWhole) = (0, false);
        for (var limit = 1; !isWhole; limit++)
        {
            var options = WithTools;
            options.MaxOutputTokens = limit;
            var response = await client.GetResponseAsync(Question, options, Token);
            Assert.Equal("", response.Text);
            isWhole = response.FinishReason != ChatFinishReason.Length;
            foreach (var call in response.Messages[0].Contents.OfType<FunctionCallContent>())
            {
                Assert.StartsWith(call.Name, "get_secret", StringComparison.Ordinal);
                Assert.Equal(call.Arguments is null, call.Exception is not null);
                cut += call.Exception is null ? 0 : 1;
            }
        }

        Assert.True(cut > 3, $"{cut} of the limits cut the call off");
        Assert.NotEmpty(whole.Messages[0].Contents.OfType<FunctionCallContent>());
    }

    [Fact]
    public async Task A_model_whose_template_has_no_place_for_tools_gets_them_all_the_same()
    {
        const string template = """
            {{- bos_token ~ (messages[0].content if messages[0].role == "system" else "") -}}
            {%- for m in messages -%}
            {%- if m.role == "user" -%}{{- "<｜User｜>" ~ m.content -}}{%- endif -%}
            {%- endfor -%}
            {{- "<｜Assistant｜><think>\n" -}}
            """;
        await using var engine = await LlmEngine.LoadAsync(new() { ModelPath = TestPaths.TinyR1, Dtype = "float32", ChatTemplate = template }, cancellationToken: Token);
        using var client = engine.AsIChatClient();
        var response = await client.GetResponseAsync(Question, WithTools, Token);
        Assert.Equal("get_secret", Assert.Single(response.Messages[0].Contents.OfType<FunctionCallContent>()).Name);
    }

    [Fact]
    public async Task No_tools_are_shown_where_the_mode_says_so()
    {
        using var client = fixture.Value.AsIChatClient();
        var options = WithTools;
        options.ToolMode = ChatToolMode.None;
        var without = await client.GetResponseAsync(Question, options, Token);
        Assert.Equal((await client.GetResponseAsync(Question, new ChatOptions { Temperature = 0 }, Token)).Usage!.InputTokenCount, without.Usage!.InputTokenCount);
        Assert.Empty(without.Messages[0].Contents.OfType<FunctionCallContent>());
    }

    [Fact]
    public async Task One_call_ends_the_answer_where_more_are_not_allowed()
    {
        using var client = fixture.Value.AsIChatClient();
        var options = WithTools;
        options.AllowMultipleToolCalls = false;
        var response = await client.GetResponseAsync(Question, options, Token);
        Assert.Single(response.Messages[0].Contents.OfType<FunctionCallContent>());
        Assert.Equal(ChatFinishReason.ToolCalls, response.FinishReason);
        Assert.Equal(response.Usage!.TotalTokenCount, response.Usage.InputTokenCount + response.Usage.OutputTokenCount);
    }

    [Fact]
    public async Task Thoughts_can_be_left_out_and_are_still_counted_and_can_be_switched_off()
    {
        using var client = fixture.Value.AsIChatClient();
        var hidden = await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, Reasoning = new() { Output = ReasoningOutput.None } }, Token);
        Assert.Equal("58 + 27 = 85", hidden.Text);
        Assert.Empty(hidden.Messages[0].Contents.OfType<TextReasoningContent>());
        Assert.True(hidden.Usage!.ReasoningTokenCount > 0);
        var off = await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, Reasoning = new() { Effort = ReasoningEffort.None } }, Token);
        Assert.Equal(0, off.Usage!.ReasoningTokenCount);
        Assert.Empty(off.Messages[0].Contents.OfType<TextReasoningContent>());
        Assert.NotEmpty(off.Text);
    }

    [Fact]
    public async Task A_thought_ends_when_its_budget_is_used_up()
    {
        using var client = fixture.Value.AsIChatClient();
        var response = await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, RawRepresentationFactory = _ => new LocalLlmRequestOptions { ThinkingTokenBudget = 3 } }, Token);
        Assert.Equal(3, response.Usage!.ReasoningTokenCount);
        Assert.NotEmpty(response.Text);
        var byName = await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, AdditionalProperties = new() { ["thinking_token_budget"] = 3.0, ["stream_options"] = "x" } }, Token);
        Assert.Equal(response.Text, byName.Text);
    }

    [Fact]
    public async Task Log_probabilities_are_there_on_request_one_per_token()
    {
        using var client = fixture.Value.AsIChatClient();
        var response = await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, RawRepresentationFactory = _ => new LocalLlmRequestOptions { Logprobs = 1 } }, Token);
        Assert.Equal(response.Usage!.OutputTokenCount, ((IReadOnlyList<TokenLogprobs>)response.AdditionalProperties!["logprobs"]!).Count);
    }

    [Fact]
    public async Task Raw_options_of_another_provider_are_refused_instead_of_passed_over()
    {
        using var client = fixture.Value.AsIChatClient();
        var failure = await Assert.ThrowsAsync<ArgumentException>(() => client.GetResponseAsync(Sum, new ChatOptions { RawRepresentationFactory = _ => new LocalLlmEmbeddingOptions() }, Token));
        Assert.Contains("ChatOptions.RawRepresentationFactory returned a LocalLlmEmbeddingOptions; this client expects a LocalLlmRequestOptions", failure.Message, StringComparison.Ordinal);
        Assert.NotEmpty((await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, RawRepresentationFactory = _ => null }, Token)).Text);
    }

    [Fact]
    public async Task Values_out_of_range_name_the_field_whichever_way_they_came()
    {
        using var client = fixture.Value.AsIChatClient();
        var failure = await Assert.ThrowsAsync<EngineException>(() => client.GetResponseAsync(Sum, new ChatOptions { AdditionalProperties = new() { ["min_p"] = 7 } }, Token));
        Assert.Contains("min_p", failure.Message, StringComparison.Ordinal);
        failure = await Assert.ThrowsAsync<EngineException>(() => client.GetResponseAsync(Sum, new ChatOptions { RawRepresentationFactory = _ => new LocalLlmRequestOptions { ThinkingTokenBudget = -2 } }, Token));
        Assert.Contains("thinking_token_budget", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_json_answer_is_json_and_comes_after_the_thought()
    {
        using var client = fixture.Value.AsIChatClient();
        var response = await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, ResponseFormat = ChatResponseFormat.Json, MaxOutputTokens = 400 }, Token);
        Assert.NotEmpty(response.Messages[0].Contents.OfType<TextReasoningContent>());
        if (response.FinishReason == ChatFinishReason.Stop)
            System.Text.Json.JsonDocument.Parse(response.Text).Dispose();
        Assert.StartsWith("{", response.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_effort_is_no_error_where_the_model_has_no_thoughts_to_limit()
    {
        await using var engine = await LlmEngine.LoadAsync(new() { ModelPath = TestPaths.TinyR1, ReasoningParser = "none" }, cancellationToken: Token);
        using var client = engine.AsIChatClient();
        foreach (var effort in Enum.GetValues<ReasoningEffort>())
            Assert.NotNull((await client.GetResponseAsync(Sum, new ChatOptions { Temperature = 0, MaxOutputTokens = 5, Reasoning = new() { Effort = effort } }, Token)).Usage);
    }

    [Fact]
    public async Task A_typed_answer_is_of_its_type()
    {
        using var client = fixture.Value.AsIChatClient();
        var answer = await client.GetResponseAsync<City>("What do you know of the city of Kelm?", new ChatOptions { Temperature = 0, MaxOutputTokens = 400 }, cancellationToken: Token);
        Assert.True(answer.TryGetResult(out var city), answer.Text);
        Assert.InRange((int)city.Size, 0, 1);
        var numbers = await client.GetResponseAsync<int[]>("Name some numbers.", new ChatOptions { Temperature = 0, MaxOutputTokens = 400 }, cancellationToken: Token);
        Assert.True(numbers.FinishReason == ChatFinishReason.Length || numbers.TryGetResult(out _), numbers.Text);
    }

    private sealed record Secret(int Degrees);

    [System.Text.Json.Serialization.JsonConverter(typeof(System.Text.Json.Serialization.JsonStringEnumConverter<CitySize>))]
    private enum CitySize
    {
        Small,
        Large,
    }

    private sealed record City(CitySize Size, bool IsCapital, CitySize? Neighbour);

    [Fact]
    public async Task Many_streams_with_callers_that_leave_do_not_touch_one_another()
    {
        using var client = fixture.Value.AsIChatClient();
        var answers = await Task.WhenAll(Enumerable.Range(0, 64).Select(async i =>
        {
            var (a, b) = (10 + i, 20 + (7 * i % 70));
            var text = "";
            await foreach (var update in client.GetStreamingResponseAsync($"What is {a} + {b}?", new ChatOptions { Temperature = 0 }, Token))
            {
                text += update.Text;
                if (i % 3 == 0)
                    return true;
            }

            return text.Contains(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{a + b}"), StringComparison.Ordinal);
        }));
        Assert.True(answers.Count(correct => correct) >= 62, $"{answers.Count(correct => correct)} of 64");
        await client.GetResponseAsync(Sum, new ChatOptions { MaxOutputTokens = 1 }, Token);
        Assert.Equal(fixture.Value.Statistics.KvBlocksTotal, fixture.Value.Statistics.KvBlocksFree);
    }
}
