using System.Text.Json;
using LocalLlm.Templating;
using LocalLlm.Tests.Execution;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Tests.Templating;

/// <summary>What the model reads about the structure that its response must follow.</summary>
public class StructurePromptTests
{
    private const string Schema = """{ "type": "object", "properties": { "größe": { "type": "integer" } } }""";
    private const string Compact = """{"type":"object","properties":{"größe":{"type":"integer"}}}""";

    private static readonly StructuredOutputs Json = new() { Json = JsonSerializer.Deserialize<JsonElement>(Schema) };

    public static TheoryData<StructuredOutputs, string> Structures => new()
    {
        { Json, $"The answer is one JSON value that conforms to this JSON schema:\n{Compact}" },
        { Json with { SchemaName = "shoe" }, $"The answer is one JSON value that conforms to this JSON schema, shoe:\n{Compact}" },
        { Json with { SchemaName = "shoe", SchemaDescription = "A shoe." }, $"The answer is one JSON value that conforms to this JSON schema, shoe (A shoe.):\n{Compact}" },
        { Json with { SchemaDescription = "A shoe." }, $"The answer is one JSON value that conforms to this JSON schema (A shoe.):\n{Compact}" },
        { new() { JsonObject = true }, "The answer is one JSON object." },
        { new() { Choice = ["yes", "a \"no\""] }, "The answer is exactly one of these texts, given as JSON strings:\n[\"yes\",\"a \\\"no\\\"\"]" },
        { new() { Regex = "\\d+" }, "The answer is a text that this regular expression matches as a whole:\n\\d+" },
        { new() { Grammar = "root ::= [0-9]+" }, "The answer is a text of the rule root of this grammar:\nroot ::= [0-9]+" },
    };

    [Theory]
    [MemberData(nameof(Structures))]
    public void The_system_text_ends_with_the_structure(StructuredOutputs structure, string expected)
    {
        var template = ChatTemplate.Load(TestPaths.TinyR1);
        Assert.Equal($"<｜begin▁of▁sentence｜>Be brief.\n\n{expected}<｜User｜>Hi<｜Assistant｜><think>\n", Render(template, structure, new ChatMessage("system", "Be brief."), new ChatMessage("user", "Hi")));
        Assert.Equal($"<｜begin▁of▁sentence｜>\n\n{expected}<｜User｜>Hi<｜Assistant｜><think>\n", Render(template, structure, new ChatMessage("user", "Hi")));
    }

    [Fact]
    public void Beside_tools_it_is_the_final_answer_that_keeps_to_it()
    {
        var request = ChatTemplateRequest.FromMessages([new("user", "Hi")]) with
        {
            Structure = new() { JsonObject = true },
            Tools = JsonSerializer.Deserialize<JsonElement>("""[{"type": "function", "function": {"name": "now"}}]"""),
        };
        Assert.StartsWith("<｜begin▁of▁sentence｜>\n\nThe final answer is one JSON object.\n\n# Tools", ChatTemplate.Load(TestPaths.TinyR1).Render(request).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Special_tokens_in_a_schema_stay_text()
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var request = ChatTemplateRequest.FromMessages([new("user", "Hi")]) with { Structure = new() { Choice = ["</think>", "<｜User｜>"] } };
        var prompt = ChatTemplate.Load(TestPaths.TinyR1).Render(request, (text, guard, _) => tokenizer.GuardText(text, guard));
        var ids = tokenizer.Encode(prompt.GuardedText, addSpecialTokens: false, prompt.Guard);
        Assert.DoesNotContain(tokenizer.TokenToId("</think>")!.Value, ids);
        Assert.Single(ids, id => id == tokenizer.TokenToId("<｜User｜>"));
    }

    [Theory]
    [InlineData("{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0].content }}", "{0}\n\nHi")]
    [InlineData("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "{0}\n\nHi")]
    [InlineData("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}", "[system]{0}[user]Hi")]
    public void It_reaches_the_model_whatever_the_template_makes_of_system_messages(string template, string expected) =>
        Assert.Equal(
            string.Format(System.Globalization.CultureInfo.InvariantCulture, expected, "\n\nThe answer is one JSON object."),
            Render(ChatTemplate.Load(TestPaths.TinyR1, template), new() { JsonObject = true }, new ChatMessage("user", "Hi")));

    [Fact]
    public async Task A_request_and_the_engine_can_leave_it_out()
    {
        var token = TestContext.Current.CancellationToken;
        var chat = GenerationRequest.FromChat([new("user", "Hi")], new() { MaxTokens = 2, Temperature = 0 });
        GenerationRequest With(bool? describe) => chat with { Sampling = chat.Sampling with { StructuredOutputs = new() { JsonObject = true }, DescribeStructuredOutputs = describe } };
        foreach (var described in (bool[])[true, false])
        {
            await using var engine = await SuiteExecutor.LoadAsync(new() { ModelPath = TestPaths.TinyR1, DescribeStructuredOutputs = described }, cancellationToken: token);
            var plain = (await engine.CompleteAsync(chat, token)).PromptTokenIds.Count;
            foreach (var describe in (bool?[])[null, true, false])
                Assert.Equal(describe ?? described, (await engine.CompleteAsync(With(describe), token)).PromptTokenIds.Count > plain);
        }
    }

    private static string Render(ChatTemplate template, StructuredOutputs structure, params ChatMessage[] messages) =>
        template.Render(ChatTemplateRequest.FromMessages(messages) with { Structure = structure }).Text;
}
