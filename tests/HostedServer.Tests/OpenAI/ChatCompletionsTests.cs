using System.Text.Json;
using LocalLlm.Server.Tests.Serving;
using Xunit;

namespace LocalLlm.Server.Tests.OpenAI;

public sealed class ChatCompletionsTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Path = "/v1/chat/completions";
    private const string Tools = """[{"type":"function","function":{"name":"get_weather","description":"Weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]""";

    private static string Body(string more = "", string question = "What is the capital of France?") =>
        $$"""{"messages":[{"role":"user","content":{{JsonSerializer.Serialize(question)}}}],"temperature":0{{(more.Length == 0 ? "" : "," + more)}}}""";

    [Fact]
    public async Task The_thought_has_both_names_and_the_answer_none_of_its_tags()
    {
        var message = (await server.AskAsync(Path, Body())).GetProperty("choices")[0].GetProperty("message");
        Assert.NotEqual("", message.GetProperty("reasoning").GetString());
        Assert.Equal(message.GetProperty("reasoning").GetString(), message.GetProperty("reasoning_content").GetString());
        Assert.Contains("Paris", message.GetProperty("content").GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain("think>", message.GetProperty("content").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_questions_of_the_seed_lesson_are_answered()
    {
        var first = await server.AskAsync(Path, Body(question: "你是什么模型?"));
        Assert.Contains("模型", first.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString(), StringComparison.Ordinal);
        var second = await server.AskAsync(Path, """{"temperature":0,"max_tokens":200,"messages":[{"role":"system","content":"你是一个编程专家"},{"role":"user","content":"请帮我写一段计算加法的程序"}]}""");
        Assert.NotEqual("", second.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
    }

    [Fact]
    public async Task A_stream_says_what_the_whole_answer_says()
    {
        var whole = (await server.AskAsync(Path, Body())).GetProperty("choices")[0];
        var chunks = await server.StreamAsync(Path, Body("""
            "stream":true,"stream_options":{"include_usage":true}
            """));
        var deltas = chunks.Where(chunk => chunk.GetProperty("choices").GetArrayLength() > 0).Select(chunk => chunk.GetProperty("choices")[0]).ToArray();
        Assert.Equal("assistant", deltas[0].GetProperty("delta").GetProperty("role").GetString());
        Assert.Equal(whole.GetProperty("message").GetProperty("content").GetString(), Join("content"));
        Assert.Equal(whole.GetProperty("message").GetProperty("reasoning").GetString(), Join("reasoning"));
        Assert.Equal(Join("reasoning"), Join("reasoning_content"));
        Assert.Equal(whole.GetProperty("finish_reason").GetString(), deltas[^1].GetProperty("finish_reason").GetString());
        Assert.Single(deltas, delta => delta.GetProperty("finish_reason").ValueKind == JsonValueKind.String);
        Assert.Equal(0, chunks[^1].GetProperty("choices").GetArrayLength());
        Assert.True(chunks[^1].GetProperty("usage").GetProperty("completion_tokens").GetInt32() > 0);
        Assert.All(chunks, chunk => Assert.Equal(chunks[0].GetProperty("id").GetString(), chunk.GetProperty("id").GetString()));

        string Join(string name) => string.Concat(deltas.Select(delta => delta.GetProperty("delta").TryGetProperty(name, out var text) ? text.GetString() : ""));
    }

    [Theory]
    [InlineData("\"auto\"", "tool_calls")]
    [InlineData("\"required\"", "tool_calls")]
    [InlineData("""{"type":"function","function":{"name":"get_weather"}}""", "stop")]
    public async Task A_call_comes_with_the_finish_reason_of_its_choice_and_streams_as_it_is_generated(string choice, string finish)
    {
        var more = $"\"tools\":{Tools},\"tool_choice\":{choice},\"max_tokens\":200";
        var answer = (await server.AskAsync(Path, Body(more, "What is the weather in Paris?"))).GetProperty("choices")[0];
        var call = answer.GetProperty("message").GetProperty("tool_calls")[0];
        Assert.Equal("get_weather", call.GetProperty("function").GetProperty("name").GetString());
        Assert.Equal(JsonValueKind.Object, JsonDocument.Parse(call.GetProperty("function").GetProperty("arguments").GetString()!).RootElement.ValueKind);
        Assert.Equal(finish, answer.GetProperty("finish_reason").GetString());

        var chunks = await server.StreamAsync(Path, Body(more + ",\"stream\":true", "What is the weather in Paris?"));
        var deltas = chunks.Select(chunk => chunk.GetProperty("choices")[0].GetProperty("delta")).Where(delta => delta.TryGetProperty("tool_calls", out _)).Select(delta => Assert.Single(delta.GetProperty("tool_calls").EnumerateArray())).ToArray();
        Assert.True(deltas.Length > 3, $"{deltas.Length} pieces");
        Assert.All(deltas, delta => Assert.Equal(0, delta.GetProperty("index").GetInt32()));
        Assert.Equal("function", deltas[0].GetProperty("type").GetString());
        Assert.NotEqual("", deltas[0].GetProperty("id").GetString());
        Assert.Equal("get_weather", deltas[0].GetProperty("function").GetProperty("name").GetString());
        Assert.All(deltas[1..], delta => Assert.False(delta.TryGetProperty("id", out _) || delta.TryGetProperty("type", out _) || delta.GetProperty("function").TryGetProperty("name", out _)));
        Assert.Equal(call.GetProperty("function").GetProperty("arguments").GetString(), string.Concat(deltas.Select(delta => delta.GetProperty("function").GetProperty("arguments").GetString())));
    }

    [Fact]
    public async Task A_call_that_the_token_limit_cuts_off_shows_what_there_was_of_it()
    {
        var arguments = new HashSet<string>();
        for (var limit = 8; limit < 60; limit++)
        {
            var more = $"\"tools\":{Tools},\"max_tokens\":{limit}";
            var answer = (await server.AskAsync(Path, Body(more, "What is the weather in Paris?"))).GetProperty("choices")[0];
            var message = answer.GetProperty("message");
            Assert.DoesNotContain("<", message.GetProperty("content").GetString() ?? "", StringComparison.Ordinal);
            if (answer.GetProperty("finish_reason").GetString() != "length")
                break;
            if (!message.TryGetProperty("tool_calls", out var calls))
                continue;
            Assert.StartsWith(calls[0].GetProperty("function").GetProperty("name").GetString()!, "get_weather", StringComparison.Ordinal);
            arguments.Add(calls[0].GetProperty("function").GetProperty("arguments").GetString()!);
        }

        Assert.True(arguments.Count > 3, string.Join('\n', arguments));
    }

    [Theory]
    [InlineData("```", "get_weather", "")]
    [InlineData("{", "get_weather", "")]
    [InlineData("function", null, "")]
    [InlineData("\"}", "get_weather", "{\"city\": \"Paris")]
    public async Task A_stop_string_in_a_call_cuts_it_off_as_a_limit_does(string stop, string? name, string arguments)
    {
        var more = $"\"tools\":{Tools},\"max_tokens\":200,\"stop\":{JsonSerializer.Serialize(stop)}";
        var answer = (await server.AskAsync(Path, Body(more, "What is the weather in Paris?"))).GetProperty("choices")[0];
        Assert.Equal("stop", answer.GetProperty("finish_reason").GetString());
        var message = answer.GetProperty("message");
        Assert.DoesNotContain("<", message.GetProperty("content").GetString() ?? "", StringComparison.Ordinal);
        var function = message.TryGetProperty("tool_calls", out var calls) ? calls[0].GetProperty("function") : default;
        Assert.Equal(name, function.ValueKind == JsonValueKind.Object ? function.GetProperty("name").GetString() : null);
        Assert.Equal(arguments, function.ValueKind == JsonValueKind.Object ? function.GetProperty("arguments").GetString() : "");
    }

    [Fact]
    public async Task Without_tool_choice_none_no_call_is_made()
    {
        var answer = await server.AskAsync(Path, Body($"\"tools\":{Tools},\"tool_choice\":\"none\"", "What is the weather in Paris?"));
        Assert.False(answer.GetProperty("choices")[0].GetProperty("message").TryGetProperty("tool_calls", out _));
    }

    [Fact]
    public async Task A_schema_is_enforced()
    {
        var answer = await server.AskAsync(Path, Body("""
            "max_tokens":200,"response_format":{"type":"json_schema","json_schema":{"name":"city","schema":{"type":"object","properties":{"city":{"type":"string","maxLength":20}},"required":["city"],"additionalProperties":false}}}
            """));
        var content = JsonDocument.Parse(answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!).RootElement;
        Assert.Equal(JsonValueKind.String, content.GetProperty("city").ValueKind);
    }

    [Fact]
    public async Task Every_token_has_its_log_probability_and_bytes()
    {
        var answer = await server.AskAsync(Path, Body("\"logprobs\":true,\"top_logprobs\":3,\"max_tokens\":8"));
        var tokens = answer.GetProperty("choices")[0].GetProperty("logprobs").GetProperty("content").EnumerateArray().ToArray();
        Assert.Equal(answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32(), tokens.Length);
        Assert.All(tokens, token => Assert.Equal(3, token.GetProperty("top_logprobs").GetArrayLength()));
        Assert.All(tokens, token => Assert.True(token.GetProperty("logprob").GetDouble() <= 0));
    }

    [Fact]
    public async Task Several_choices_have_their_indices_in_both_ways()
    {
        var whole = await server.AskAsync(Path, """{"messages":[{"role":"user","content":"Hi"}],"n":3,"temperature":1,"max_tokens":10,"seed":1}""");
        Assert.Equal([0, 1, 2], whole.GetProperty("choices").EnumerateArray().Select(choice => choice.GetProperty("index").GetInt32()));
        var chunks = await server.StreamAsync(Path, """{"messages":[{"role":"user","content":"Hi"}],"n":3,"temperature":1,"max_tokens":10,"seed":1,"stream":true}""");
        Assert.Equal(3, chunks.Count(chunk => chunk.GetProperty("choices")[0].GetProperty("finish_reason").ValueKind == JsonValueKind.String));
        foreach (var index in (int[])[0, 1, 2])
        {
            var text = string.Concat(chunks.Select(chunk => chunk.GetProperty("choices")[0]).Where(choice => choice.GetProperty("index").GetInt32() == index).Select(choice => choice.GetProperty("delta").TryGetProperty("content", out var part) ? part.GetString() : ""));
            Assert.Equal(whole.GetProperty("choices")[index].GetProperty("message").GetProperty("content").GetString(), text);
        }
    }

    [Fact]
    public async Task Hidden_thoughts_leave_nothing_behind()
    {
        var answer = (await server.AskAsync(Path, Body("\"include_reasoning\":false,\"logprobs\":true,\"return_token_ids\":true"))).GetProperty("choices")[0];
        Assert.False(answer.GetProperty("message").TryGetProperty("reasoning", out _));
        var open = await server.AskAsync(Path, Body("\"logprobs\":true,\"return_token_ids\":true"));
        Assert.True(answer.GetProperty("token_ids").GetArrayLength() < open.GetProperty("choices")[0].GetProperty("token_ids").GetArrayLength());
        Assert.Equal(answer.GetProperty("token_ids").GetArrayLength(), answer.GetProperty("logprobs").GetProperty("content").GetArrayLength());
        Assert.True(open.GetProperty("prompt_token_ids").GetArrayLength() > 0);
    }

    [Fact]
    public async Task No_effort_means_no_thought()
    {
        var usage = (await server.AskAsync(Path, Body("\"reasoning_effort\":\"none\""))).GetProperty("usage");
        Assert.Equal(0, usage.GetProperty("completion_tokens_details").GetProperty("reasoning_tokens").GetInt32());
    }

    [Fact]
    public async Task A_stop_string_is_reported_and_left_out()
    {
        var answer = (await server.AskAsync(Path, Body("\"stop\":[\"Paris\"]"))).GetProperty("choices")[0];
        Assert.Equal("stop", answer.GetProperty("finish_reason").GetString());
        Assert.Equal("Paris", answer.GetProperty("stop_reason").GetString());
        Assert.DoesNotContain("Paris", answer.GetProperty("message").GetProperty("content").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_developer_message_is_a_system_message()
    {
        string With(string role) => $$"""{"temperature":0,"messages":[{"role":"{{role}}","content":"Be brief."},{"role":"user","content":"Hi"}]}""";
        var developer = await server.AskAsync(Path, With("developer"));
        var system = await server.AskAsync(Path, With("system"));
        Assert.Equal(system.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), developer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }

    [Fact]
    public async Task Repeated_prompts_tell_how_much_was_cached()
    {
        var body = Body("\"max_tokens\":1", string.Join(' ', Enumerable.Repeat("Once upon a time there was a wolf.", 12)));
        await server.AskAsync(Path, body);
        var usage = (await server.AskAsync(Path, body)).GetProperty("usage");
        Assert.True(usage.GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32() >= 16);
    }

    [Fact]
    public async Task Variables_of_the_template_have_defaults_that_a_request_may_set_otherwise()
    {
        // A template that writes the variable it received.
        await using var own = new TestServer(
            options => options.DefaultChatTemplateKwargs = """{"word":"red"}""",
            engine => engine with { ChatTemplate = "{{ word }}{% for message in messages %}{{ message.content }}{% endfor %}" });
        await own.InitializeAsync();
        var chat = """{"messages":[{"role":"user","content":"x"}]""";
        async Task<string?> TextAsync(string more)
        {
            var tokens = (await own.AskAsync("/tokenize", chat + more + "}")).GetProperty("tokens").GetRawText();
            return (await own.AskAsync("/detokenize", $$"""{"tokens":{{tokens}}}""")).GetProperty("prompt").GetString();
        }

        Assert.Equal("redx", await TextAsync(""));
        Assert.Equal("bluex", await TextAsync(""","chat_template_kwargs":{"word":"blue"}"""));
        Assert.Equal((await own.AskAsync("/tokenize", chat + "}")).GetProperty("count").GetInt32(), (await own.AskAsync(Path, chat + ",\"max_tokens\":1}")).GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }
}
