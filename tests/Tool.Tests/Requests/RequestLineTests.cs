using LocalLlm.Tool.Requests;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Requests;

public class RequestLineTests
{
    [Fact]
    public void Every_field_of_a_prompt_is_read()
    {
        var request = Read("""{"prompt": "a", "add_special_tokens": false, "cache_salt": "s", "request_id": "r", "top_p": 0.5, "stop": "x", "seed": 7, "n": 2, "tools": null}""");
        Assert.Equal(("a", false, "s", "r"), (request.Prompt, request.AddSpecialTokens, request.CacheSalt, request.RequestId));
        Assert.Equal((0.5, 7L, 2), (request.Sampling.TopP, request.Sampling.Seed, request.Sampling.N));
        Assert.Equal(["x"], request.Sampling.Stop);
        Assert.Null(request.Chat);
    }

    [Fact]
    public void Every_field_of_a_chat_is_read()
    {
        var chat = Read("""
            {"messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function"}], "documents": [{}], "add_generation_prompt": false,
             "continue_final_message": true, "chat_template_kwargs": {"enable_thinking": false}}
            """).Chat!;
        Assert.Equal((1, 1, 1), (chat.Messages.GetArrayLength(), chat.Tools!.Value.GetArrayLength(), chat.Documents!.Value.GetArrayLength()));
        Assert.False(chat.AddGenerationPrompt);
        Assert.True(chat.ContinueFinalMessage);
        Assert.False(chat.ChatTemplateKwargs!["enable_thinking"].GetBoolean());
    }

    [Theory]
    [InlineData("""{"messages": [{}]}""", true)]
    [InlineData("""{"messages": [{}], "continue_final_message": true}""", false)]
    public void A_generation_prompt_is_added_unless_the_last_message_goes_on(string line, bool expected) =>
        Assert.Equal(expected, Read(line).Chat!.AddGenerationPrompt);

    [Theory]
    [InlineData("user", "null")]
    [InlineData("system", "null")]
    [InlineData("developer", "null")]
    public void A_message_without_content_is_refused_as_over_http(string role, string content) => Assert.Contains(
        "messages[0].content: given nothing",
        Assert.Throws<EngineException>(() => Read($$"""{"messages": [{"role": "{{role}}", "content": {{content}}}]}""")).Message,
        StringComparison.Ordinal);

    [Fact]
    public void A_history_is_read_as_over_http()
    {
        var messages = Read("""{"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": 1, "name": "f", "input": {}}]}, {"role": "tool", "tool_call_id": 1, "content": "\ud83d"}, {"role": "ipython", "content": null}, {}]}""").Chat!.Messages;
        Assert.Equal("1", messages[0].GetProperty("tool_calls")[0].GetProperty("id").GetString());
        Assert.Equal(("1", "\ufffd"), (messages[1].GetProperty("tool_call_id").GetString(), messages[1].GetProperty("content").GetString()));
        Assert.Equal(4, messages.GetArrayLength());
    }

    [Theory]
    [InlineData("\"guided_choice\": [\"yes\", \"no\"]", "choice")]
    [InlineData("\"guided_json\": {\"type\": \"integer\"}", "json")]
    [InlineData("\"guided_regex\": \"a+\"", "regex")]
    [InlineData("\"regex\": \"a+\"", "regex")]
    [InlineData("\"ebnf\": \"root ::= \\\"a\\\"\"", "grammar")]
    [InlineData("\"grammar\": \"root ::= \\\"a\\\"\"", "grammar")]
    [InlineData("\"json_schema\": {\"type\": \"integer\"}", "json")]
    [InlineData("\"format\": {\"type\": \"integer\"}", "json")]
    [InlineData("\"format\": \"json\"", "object")]
    public void Older_names_of_structures_are_read(string field, string expected)
    {
        var structure = Read($"{{\"prompt\": \"a\", {field}}}").Sampling.StructuredOutputs!;
        Assert.Equal(expected, structure.Choice is not null ? "choice" : structure.Json is not null ? "json" : structure.Regex is not null ? "regex" : structure.Grammar is not null ? "grammar" : "object");
    }

    [Theory]
    [InlineData("\"thinking\": {\"type\": \"disabled\"}", 0)]
    [InlineData("\"reasoning_effort\": \"low\"", 1024)]
    [InlineData("\"enable_thinking\": true", null)]
    [InlineData("\"thinking_budget\": 77", 77)]
    [InlineData("\"thinking_budget\": 0", 0)]
    [InlineData("\"thinking_budget\": 77, \"enable_thinking\": true", 77)]
    [InlineData("\"thinking_budget\": 77, \"enable_thinking\": false", 0)]
    [InlineData("\"think\": \"low\"", 1024)]
    [InlineData("\"think\": false", 0)]
    [InlineData("\"reasoning\": {\"effort\": \"low\"}", 1024)]
    [InlineData("\"reasoning\": {\"max_tokens\": 77}", 77)]
    [InlineData("\"reasoning\": {\"enabled\": false}", 0)]
    [InlineData("\"reasoning\": {\"enabled\": true, \"exclude\": false}", null)]
    public void What_a_line_says_of_thinking_reaches_template_and_budget(string field, int? budget)
    {
        var request = Read($"{{\"messages\": [{{}}], {field}}}");
        Assert.Equal(budget, request.Sampling.ThinkingTokenBudget);
        Assert.Equal(budget != 0, request.Chat!.ChatTemplateKwargs!["enable_thinking"].GetBoolean());
    }

    [Theory]
    [InlineData("\"reasoning\": {\"exclude\": true}", "reasoning.exclude")]
    [InlineData("\"reasoning\": {\"summary\": \"auto\"}", "reasoning.summary")]
    [InlineData("\"reasoning\": {\"effort\": \"low\", \"max_tokens\": 5}", "reasoning.max_tokens")]
    [InlineData("\"reasoning\": {\"effort\": \"low\", \"enabled\": false}", "reasoning.enabled")]
    [InlineData("\"reasoning\": true", "reasoning: given true")]
    [InlineData("\"include_reasoning\": false", "include_reasoning")]
    [InlineData("\"think\": false, \"reasoning_effort\": \"high\"", "think: given the opposite of reasoning_effort")]
    [InlineData("\"thinking_budget\": \"many\"", "thinking_budget: given a string")]
    [InlineData("\"structural_tag\": {}", "structural_tag is not supported")]
    [InlineData("\"regex\": \"a\", \"ebnf\": \"root ::= \\\"a\\\"\"", "ebnf: given a structure beside regex")]
    [InlineData("\"format\": \"yaml\"", "format: given a string")]
    public void Switches_of_other_servers_that_cannot_be_honoured_are_refused_by_name(string field, string expected) =>
        Assert.Contains(expected, Assert.Throws<EngineException>(() => Read($"{{\"messages\": [{{}}], {field}}}")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("\"required\"", true)]
    [InlineData("{\"type\": \"function\", \"function\": {\"name\": \"f\"}}", true)]
    [InlineData("\"auto\"", false)]
    [InlineData("\"none\"", false)]
    public void A_choice_among_tools_is_read(string choice, bool isRequired)
    {
        var request = Read($$$"""{"messages": [{}], "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {{{choice}}}}""");
        Assert.Equal(isRequired, request.ToolChoice?.IsRequired == true);
        Assert.Equal(choice == "\"none\"", request.Chat!.Tools is null);
    }

    [Fact]
    public void Ids_are_read() => Assert.Equal([1, 2, 3], Read("""{"prompt_token_ids": [1, 2.0, 3]}""").PromptTokenIds!);

    [Theory]
    [InlineData("{}", "no prompt")]
    [InlineData("""{"prompt": null}""", "no prompt")]
    [InlineData("""{"prompt": "a", "prompt_token_ids": [1]}""", "prompt and prompt_token_ids")]
    [InlineData("""{"prompt": "a", "messages": []}""", "prompt and messages")]
    [InlineData("""{"prompt": "a", "prompt": "b"}""", "prompt: given the field twice")]
    [InlineData("""{"prompt": ["a"]}""", "prompt: given a list")]
    [InlineData("""{"prompt": 5}""", "prompt: given 5")]
    [InlineData("""{"prompt_token_ids": "a"}""", "prompt_token_ids: given a string")]
    [InlineData("""{"prompt_token_ids": [1, "a"]}""", "prompt_token_ids: given a string")]
    [InlineData("""{"prompt_token_ids": [1.5]}""", "prompt_token_ids: given 1.5")]
    [InlineData("""{"prompt_token_ids": [99999999999]}""", "prompt_token_ids: given 99999999999")]
    [InlineData("""{"messages": "a"}""", "messages: given a string")]
    [InlineData("""{"messages": [], "tools": {}}""", "tools: given an object")]
    [InlineData("""{"messages": [], "chat_template_kwargs": []}""", "chat_template_kwargs: given a list")]
    [InlineData("""{"messages": [], "add_special_tokens": true}""", "add_special_tokens: given true")]
    [InlineData("""{"prompt": "a", "tools": []}""", "tools: given a field of chats")]
    [InlineData("""{"prompt": "a", "add_special_tokens": 1}""", "add_special_tokens: given 1")]
    [InlineData("""{"prompt": "a", "request_id": 1}""", "request_id: given 1")]
    [InlineData("""{"prompt": "a", "max_token": 1}""", "did you mean max_tokens?")]
    [InlineData("""{"prompt": "\ud800"}""", "prompt: given text with half of a surrogate pair")]
    [InlineData("""{"prompt": "a", "temperature": 1e400}""", "temperature: given 1e400")]
    [InlineData("""{"prompt": "a", "use_beam_search": true}""", "use_beam_search is not supported")]
    public void A_fault_is_named_with_its_field(string line, string says) =>
        Assert.Contains(says, Assert.Throws<EngineException>(() => Read(line)).Message, StringComparison.Ordinal);

    [Fact]
    public void All_faults_of_a_line_stand_in_one_error_each_once()
    {
        var fault = Assert.Throws<EngineException>(() => Read("""{"prompt": 1, "prompt": 2, "tools": [], "temperature": "hot", "top_k": 1.5}"""));
        Assert.Equal(EngineErrorKind.InvalidRequest, fault.Kind);
        Assert.Equal("prompt", fault.Parameter);
        foreach (var field in new[] { "prompt: given the field twice", "tools: ", "temperature: ", "top_k: " })
            Assert.Equal(2, fault.Message.Split(field).Length);
    }

    [Fact]
    public void An_unknown_member_is_reported_and_not_read()
    {
        var unread = new List<string>();
        var request = RequestLine.Read(JsonTest.Parse("""{"id": 7, "prompt": "a", "model": "m", "hats": 1, "temperature": 0}"""), canLimitThoughts: true, unread);
        Assert.Equal("a", request.Prompt);
        Assert.Equal(["id", "model", "hats"], unread);
    }

    private static GenerationRequest Read(string line) => RequestLine.Read(JsonTest.Parse(line), canLimitThoughts: true, []);
}
