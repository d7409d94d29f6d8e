using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Server.Tests.Serving;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Server.Tests.OpenAI;

/// <summary>Bodies as real clients write and replay them: histories that contain earlier output of the model, system messages anywhere, and
/// alternative names of supported fields.</summary>
public sealed class HistoryTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Path = "/v1/chat/completions";
    private const string Call = """{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":ARGUMENTS}}]}""";

    [Theory]
    [InlineData("""[{"role":"system","content":"ALPHA"},{"role":"system","content":"BETA"},{"role":"user","content":"q"}]""")]
    [InlineData("""[{"role":"developer","content":"ALPHA"},{"role":"system","content":"BETA"},{"role":"user","content":"q"}]""")]
    [InlineData("""[{"role":"system","content":"ALPHA"},{"role":"user","content":"q"},{"role":"system","content":"BETA"},{"role":"user","content":"r"}]""")]
    [InlineData("""[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"system","content":"ALPHA"},{"role":"developer","content":"BETA"}]""")]
    public async Task Every_system_text_reaches_the_model_in_any_order(string messages) =>
        Assert.StartsWith("<｜begin▁of▁sentence｜>ALPHA\n\nBETA<｜User｜>q", await PromptAsync(messages), StringComparison.Ordinal);

    [Theory]
    [InlineData("""  "{\"city\": \"Par"  """, "{\"city\": \"Par")]
    [InlineData("""  "not json"  """, "not json")]
    [InlineData("""  "[1, 2]"  """, "[1, 2]")]
    [InlineData("""  ""  """, "{}")]
    [InlineData("""  null  """, "{}")]
    [InlineData("""  {"a": 1}  """, "{\"a\": 1}")]
    [InlineData("""  "{\"a\": \"\\ud83d\"}"  """, "{\"a\": \"\ufffd\"}")]
    [InlineData("""  "{\"a\": 1e999}"  """, "{\"a\": 1e999}")]
    public async Task Arguments_of_earlier_calls_are_taken_as_they_are(string arguments, string text)
    {
        var call = Call.Replace("ARGUMENTS", arguments, StringComparison.Ordinal);
        Assert.Contains($"```json\n{text}\n```", await PromptAsync($$"""[{"role":"user","content":"q"},{{call}},{"role":"tool","tool_call_id":"1","content":"x"}]"""), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"role":"assistant","content":null}""")]
    [InlineData("""{"role":"assistant"}""")]
    [InlineData("""{"role":"assistant","content":"","tool_calls":[]}""")]
    [InlineData("""{"role":"assistant","content":"","reasoning_content":"hm","reasoning":"hm"}""")]
    [InlineData("""{"role":"assistant","content":[],"tool_calls":null,"reasoning_content":null}""")]
    [InlineData("""{"role":"assistant","content":null,"refusal":null,"annotations":[],"audio":null,"function_call":null}""")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"index":0,"function":{"name":"f"}},{"function":{"name":"f","arguments":"{"}}]}""")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}""")]
    [InlineData("""{"role":"tool","content":"42"}""")]
    [InlineData("""{"role":"tool","tool_call_id":"nobody","content":null}""")]
    public async Task Nothing_that_a_model_once_produced_ends_the_chat(string message) =>
        Assert.Contains("<｜User｜>r", await PromptAsync($$"""[{"role":"user","content":"q"},{{message}},{"role":"user","content":"r"}]"""), StringComparison.Ordinal);

    [Fact]
    public async Task A_refusal_without_content_is_what_the_assistant_said() =>
        Assert.Contains("<｜Assistant｜>I will not", await PromptAsync("""[{"role":"user","content":"q"},{"role":"assistant","content":null,"refusal":"I will not"},{"role":"user","content":"r"}]"""), StringComparison.Ordinal);

    [Theory]
    [InlineData("")]
    [InlineData("\"tool_choice\":\"auto\",")]
    [InlineData("\"tool_choice\":\"none\",")]
    [InlineData("\"tool_choice\":null,")]
    public async Task An_empty_list_of_tools_is_none(string choice)
    {
        var with = await AnswerAsync($"\"tools\":[],{choice}\"temperature\":0");
        Assert.Equal((await AnswerAsync("\"temperature\":0")).GetProperty("message").GetRawText(), with.GetProperty("message").GetRawText());
        Assert.Equal("stop", with.GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task A_required_tool_that_is_not_there_is_named_with_those_that_are()
    {
        const string Body = """{"messages":[{"role":"user","content":"q"}],"tools":[{"type":"function","function":{"name":"add"}},{"type":"function","function":{"name":"sub"}}],"tool_choice":{"type":"function","function":{"name":"get_time"}}}""";
        using var response = await server.PostAsync(Path, Body, cancellationToken: TestContext.Current.CancellationToken);
        var message = JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement.GetProperty("error").GetProperty("message").GetString();
        Assert.Equal(400, (int)response.StatusCode);
        Assert.Contains("given get_time, allowed the name of one of the request's tools (add, sub)", message, StringComparison.Ordinal);
    }

    // R1's templates leave old thoughts out: the prompt must contain the text after a thought, and must not contain the thought as text.
    [Theory]
    [InlineData("""[{"type":"thinking","thinking":"THOUGHT"},{"type":"text","text":"SAID"}]""")]
    [InlineData("""[{"type":"thinking","thinking":[{"type":"text","text":"THOUGHT"}],"closed":true},{"type":"text","text":"SAID"}]""")]
    [InlineData("""[{"type":"reasoning","text":"THOUGHT"},{"type":"text","text":"SAID"}]""")]
    [InlineData("""[{"type":"reasoning","summary":[{"type":"summary_text","text":"THOUGHT"}]},{"type":"text","text":null},{"type":"text","text":"SAID"}]""")]
    [InlineData("""[{"type":"reasoning_content","reasoning_content":"THOUGHT"},{"type":"redacted_thinking","data":"THOUGHT"},"SAID"]""")]
    [InlineData("""[{"type":"refusal","refusal":null},{"type":"output_text","text":"SAID"}]""")]
    public async Task Thoughts_among_the_parts_of_a_content_are_no_text(string content)
    {
        var prompt = await PromptAsync($$"""[{"role":"user","content":"q"},{"role":"assistant","content":{{content}}},{"role":"user","content":"r"}]""");
        Assert.Contains("<｜Assistant｜>SAID<", prompt, StringComparison.Ordinal);
        Assert.DoesNotContain("THOUGHT", prompt, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"type":"reasoning","text":"c"}]}""", "abc")]
    [InlineData("""{"role":"assistant","content":"x","reasoning":{"content":"abc"}}""", "abc")]
    [InlineData("""{"role":"assistant","content":"x","reasoning_content":[{"type":"text","text":"abc"}]}""", "abc")]
    [InlineData("""{"role":"assistant","content":"x","reasoning":{"effort":"low","summary":[{"text":"abc"}]}}""", "abc")]
    [InlineData("""{"role":"assistant","content":"x","reasoning":{"effort":"low"}}""", "")]
    [InlineData("""{"role":"assistant","content":"x","reasoning":7}""", "")]
    public void Thoughts_of_every_form_are_the_messages_thoughts(string message, string thought)
    {
        var errors = new RequestErrors();
        var read = ChatMessagesJson.Read(JsonTest.Parse($"[{message}]"), errors)[0];
        var found = read.TryGetProperty("reasoning", out var reasoning) ? reasoning : read.GetProperty("reasoning_content");
        Assert.Equal((thought, 0), (found.GetString(), errors.Count));
    }

    [Theory]
    [InlineData("""{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"1","name":"f","input":{"a": 1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"RESULT"}]}]}""")]
    [InlineData("""{"role":"assistant","content":[{"type":"tool-call","toolCallId":"1","toolName":"f","input":{"a": 1}}]},{"role":"tool","content":[{"type":"tool-result","toolCallId":"1","toolName":"f","output":{"type":"text","value":"RESULT"}}]}""")]
    [InlineData("""{"role":"assistant","content":[{"type":"tool-call","toolCallId":"1","toolName":"f","args":{"a": 1}},{"type":"tool-result","toolCallId":"1","result":{"x":"RESULT"}}]}""")]
    [InlineData("""{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\": 1}"}},{"role":"function","name":"f","content":"RESULT"}""")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"id":1,"type":"function","function":{"name":"f","arguments":{"a": 1}}}]},{"role":"tool","tool_call_id":1,"content":"RESULT"}""")]
    public async Task Calls_and_results_of_other_apis_reach_the_model(string messages)
    {
        var prompt = await PromptAsync($$"""[{"role":"user","content":"q"},{{messages}},{"role":"user","content":"r"}]""");
        Assert.Contains("f\n```json\n{\"a\": 1}\n```", prompt, StringComparison.Ordinal);
        Assert.Matches("<｜tool▁output▁begin｜>[^<]*RESULT", prompt);
        Assert.Contains("<｜User｜>r", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void A_result_of_a_function_gets_the_id_of_its_call()
    {
        var errors = new RequestErrors();
        var read = ChatMessagesJson.Read(JsonTest.Parse("""[{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"x"}]"""), errors);
        Assert.Equal(0, errors.Count);
        Assert.Equal(read[0].GetProperty("tool_calls")[0].GetProperty("id").GetString(), read[1].GetProperty("tool_call_id").GetString());
        Assert.Equal("tool", read[1].GetProperty("role").GetString());
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("[null]")]
    [InlineData("[{}]")]
    public async Task Calls_that_are_empty_are_none(string calls) =>
        Assert.Contains("<｜Assistant｜>SAID<", await PromptAsync($$"""[{"role":"user","content":"q"},{"role":"assistant","content":"SAID","tool_calls":{{calls}}},{"role":"user","content":"r"}]"""), StringComparison.Ordinal);

    [Theory]
    [InlineData("\"tool_calls\":{\"id\":\"1\"}", "messages[1].tool_calls", "object")]
    [InlineData("\"tool_calls\":7", "messages[1].tool_calls", "number")]
    [InlineData("\"tool_calls\":[null,7]", "messages[1].tool_calls[1]", "number")]
    [InlineData("\"tool_calls\":[{\"id\":\"1\",\"function\":null}]", "messages[1].tool_calls[0].function", "null")]
    [InlineData("\"tool_calls\":[{\"function\":[]}]", "messages[1].tool_calls[0].function", "array")]
    [InlineData("\"tool_calls\":[{\"function\":{\"name\":7}}]", "messages[1].tool_calls[0].function.name", "number")]
    [InlineData("\"tool_calls\":[{\"type\":\"custom\",\"custom\":{\"name\":\"f\",\"input\":\"x\"}}]", "messages[1].tool_calls[0].type", "custom")]
    [InlineData("\"tool_calls\":[{\"id\":[],\"function\":{\"name\":\"f\"}}]", "messages[1].tool_calls[0].id", "array")]
    [InlineData("\"function_call\":\"f\"", "messages[1].function_call", "string")]
    [InlineData("\"content\":[\"a\",{\"type\":\"tool_use\",\"input\":{}}]", "messages[1].content[1].name", "null")]
    public async Task A_malformed_tool_call_is_one_error_with_its_place(string member, string param, string given)
    {
        using var response = await server.PostAsync(Path, $$"""{"messages":[{"role":"user","content":"q"},{"role":"assistant",{{member}}},{"role":"user","content":"r"}]}""", cancellationToken: TestContext.Current.CancellationToken);
        var error = JsonTest.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).GetProperty("error");
        Assert.Equal((400, param), ((int)response.StatusCode, error.GetProperty("param").GetString()));
        Assert.Contains($"{param}: given {given}, allowed", error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"role":"assistant","content":"A\ud83dB"}""", "A\ufffdB")]
    [InlineData("""{"role":"assistant","content":[{"type":"text","text":"A\ude00B"}]}""", "A\ufffdB")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": \"A\ud83dB\"}"}}]}""", "A\ufffdB")]
    [InlineData("""{"role":"assistant","content":"A\ud83d\ude00B"}""", "A😀B")]
    public async Task Half_of_a_surrogate_pair_that_a_model_wrote_is_the_replacement_character(string message, string text) =>
        Assert.Contains(text, await PromptAsync($$"""[{"role":"user","content":"q"},{{message}},{"role":"tool","tool_call_id":"1","content":"\ud83d"},{"role":"user","content":"r"}]"""), StringComparison.Ordinal);

    [Fact]
    public async Task Half_of_a_surrogate_pair_of_a_user_stays_an_error()
    {
        using var response = await server.PostAsync(Path, """{"messages":[{"role":"user","content":"\ud83d"}]}""", cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(400, (int)response.StatusCode);
    }

    [Theory]
    [InlineData("\"tools\":null,\"tool_choice\":\"auto\",")]
    [InlineData("\"tools\":null,\"tool_choice\":\"none\",")]
    [InlineData("\"tool_choice\":\"auto\",")]
    [InlineData("\"tool_choice\":\"none\",")]
    public async Task No_tools_and_null_for_tools_are_the_same_as_an_empty_list(string fields) =>
        Assert.Equal((await AnswerAsync("\"tools\":[],\"temperature\":0")).GetProperty("message").GetRawText(), (await AnswerAsync(fields + "\"temperature\":0")).GetProperty("message").GetRawText());

    [Theory]
    [InlineData("\"thinking\":{\"type\":\"disabled\"}", true)]
    [InlineData("\"thinking\":{\"type\":\"enabled\"}", false)]
    [InlineData("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":0}", true)]
    [InlineData("\"thinking\":{\"type\":\"auto\"}", false)]
    [InlineData("\"thinking\":null", false)]
    [InlineData("\"thinking\":false", true)]
    [InlineData("\"enable_thinking\":false", true)]
    [InlineData("\"enable_thinking\":true,\"reasoning_effort\":\"high\"", false)]
    [InlineData("\"reasoning\":{\"effort\":\"none\"}", true)]
    [InlineData("\"reasoning\":{\"enabled\":false}", true)]
    [InlineData("\"reasoning\":{\"max_tokens\":0}", true)]
    [InlineData("\"reasoning\":{}", false)]
    [InlineData("\"think\":false", true)]
    [InlineData("\"think\":\"low\"", false)]
    [InlineData("\"thinking_budget\":0", true)]
    public async Task Thinking_is_switched_under_every_name_in_both_kinds_of_bodies(string field, bool isOff)
    {
        var chat = await server.AskAsync(Path, $$"""{"messages":[{"role":"user","content":"What is 58 + 27?"}],"temperature":0,{{field}}}""");
        Assert.Equal(isOff, chat.GetProperty("usage").GetProperty("completion_tokens_details").GetProperty("reasoning_tokens").GetInt32() == 0);
        var text = await server.AskAsync("/v1/completions", $$"""{"prompt":"<｜begin▁of▁sentence｜><｜User｜>What is 58 + 27?<｜Assistant｜><think>\n","add_special_tokens":false,"max_tokens":200,"temperature":0,"skip_special_tokens":false,{{field}}}""");
        Assert.Equal(isOff, text.GetProperty("choices")[0].GetProperty("text").GetString()!.TrimStart().StartsWith("</think>", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("\"guided_choice\":[\"red\",\"green\"]", "^(red|green)$")]
    [InlineData("\"guided_regex\":\"[0-9]{3}\"", "^[0-9]{3}$")]
    [InlineData("\"guided_grammar\":\"root ::= \\\"yes\\\" | \\\"no\\\"\"", "^(yes|no)$")]
    [InlineData("\"guided_json\":{\"enum\":[7]},\"guided_decoding_backend\":\"outlines\"", "^7$")]
    [InlineData("\"guided_json\":\"{\\\"enum\\\":[7]}\",\"guided_decoding_backend\":\"xgrammar:no-fallback\"", "^7$")]
    [InlineData("\"regex\":\"[0-9]{3}\"", "^[0-9]{3}$")]
    [InlineData("\"ebnf\":\"root ::= \\\"yes\\\" | \\\"no\\\"\"", "^(yes|no)$")]
    [InlineData("\"grammar\":\"root ::= \\\"yes\\\" | \\\"no\\\"\"", "^(yes|no)$")]
    [InlineData("\"json_schema\":{\"enum\":[7]}", "^7$")]
    [InlineData("\"format\":{\"enum\":[7]}", "^7$")]
    [InlineData("\"response_format\":{\"type\":\"json_object\",\"schema\":{\"enum\":[7]}}", "^7$")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"schema\":{\"enum\":[7]}}", "^7$")]
    [InlineData("\"guided_regex\":\"[0-9]{3}\",\"guided_json\":null,\"response_format\":{\"type\":\"text\"}", "^[0-9]{3}$")]
    public async Task Structures_are_enforced_under_the_older_names_in_both_kinds_of_bodies(string field, string pattern)
    {
        var answer = await AnswerAsync($"\"temperature\":0,\"thinking\":{{\"type\":\"disabled\"}},{field}");
        Assert.Matches(pattern, answer.GetProperty("message").GetProperty("content").GetString());
        var text = await server.AskAsync("/v1/completions", $$"""{"prompt":"q","max_tokens":100,"temperature":0,{{field}}}""");
        Assert.Matches(pattern, text.GetProperty("choices")[0].GetProperty("text").GetString());
    }

    [Fact]
    public async Task Thoughts_that_a_chat_excludes_are_counted_and_not_sent()
    {
        var chat = await server.AskAsync(Path, """{"messages":[{"role":"user","content":"What is 58 + 27?"}],"temperature":0,"reasoning":{"exclude":true}}""");
        Assert.True(chat.GetProperty("usage").GetProperty("completion_tokens_details").GetProperty("reasoning_tokens").GetInt32() > 0);
        Assert.DoesNotContain("\"reasoning\":\"", chat.GetProperty("choices").GetRawText(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"guided_regex\":\"a[b\"", "guided_regex: the pattern cannot be used: at character ")]
    [InlineData("\"guided_grammar\":\"root ::= (\"", "guided_grammar: the grammar cannot be used: in line 1, ")]
    [InlineData("\"guided_choice\":[]", "guided_choice: the list of choices cannot be used: give at least one text")]
    [InlineData("\"guided_json\":{\"type\":\"something\"}", "guided_json: the schema cannot be used: ")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":[]}}", "response_format.json_schema.schema: given array, allowed a JSON schema")]
    [InlineData("\"structured_outputs\":{}", "structured_outputs: given no structure, allowed exactly one of json, choice, regex, grammar and json_object")]
    [InlineData("\"structured_outputs\":{\"regex\":\"a\",\"choice\":[\"a\"]}", "structured_outputs: given choice and regex, allowed exactly one of")]
    [InlineData("\"response_format\":{\"type\":\"structural_tag\"}", "response_format: type structural_tag is not supported; supported are the types text, json_object, json_schema")]
    [InlineData("\"response_format\":{\"type\":\"json_object\",\"json_schema\":{\"schema\":{}}}", "response_format.json_schema: given a value beside type json_object, allowed only beside type json_schema")]
    [InlineData("\"response_format\":{\"type\":\"text\",\"schema\":{}}", "response_format.schema: given a value beside type text")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"schema\":{},\"json_schema\":{\"schema\":{}}}", "response_format.schema: given a schema beside json_schema")]
    [InlineData("\"json_schema\":{},\"response_format\":{\"type\":\"json_object\"}", "json_schema: given together with response_format")]
    [InlineData("\"modalities\":[\"text\",\"audio\"]", "modalities: audio is not supported; supported are text")]
    public async Task A_structure_that_cannot_be_enforced_is_refused_by_its_field_with_the_reason(string field, string expected)
    {
        using var response = await server.PostAsync(Path, $$"""{"messages":[{"role":"user","content":"q"}],{{field}}}""", cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(400, (int)response.StatusCode);
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement.GetProperty("error");
        Assert.Contains(expected, error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    private async Task<JsonElement> AnswerAsync(string fields) =>
        (await server.AskAsync(Path, $$"""{"messages":[{"role":"user","content":"What is 58 + 27?"}],{{fields}}}""")).GetProperty("choices")[0];

    private async Task<string> PromptAsync(string messages)
    {
        var answer = await server.AskAsync(Path, $$"""{"messages":{{messages}},"max_tokens":1,"return_token_ids":true}""");
        return server.Engine.Tokenizer!.Decode(answer.GetProperty("prompt_token_ids").EnumerateArray().Select(id => id.GetInt32()));
    }
}
