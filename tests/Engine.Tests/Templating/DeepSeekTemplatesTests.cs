using System.Text.Json;
using LocalLlm.Parsing;
using LocalLlm.Requests;
using LocalLlm.Templating;
using Xunit;

namespace LocalLlm.Tests.Templating;

/// <summary>DeepSeek's full models: how the prompt asks them to think, and how it holds a chat with calls.</summary>
public class DeepSeekTemplatesTests
{
    private const string V31Call = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Rome\"}<｜tool▁call▁end｜>";
    private const string V3Call = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Rome\"}\n```<｜tool▁call▁end｜>";

    // Our own templates, and those of other projects where they lie beside this checkout.
    public static TheoryData<string, string, bool> All => new()
    {
        { "own V3.1", "deepseek_v31", true },
        { "own R1-0528", "deepseek_v3", false },
        { "llama.cpp/deepseek-ai-DeepSeek-V3.1.jinja", "deepseek_v31", true },
        { "llama.cpp/deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja", "deepseek_v3", true },
        { "vllm/tool_chat_template_deepseekr1.jinja", "deepseek_v3", false },
    };

    [Theory]
    [MemberData(nameof(All))]
    public void The_format_of_calls_follows_from_the_template(string name, string format, bool switches)
    {
        _ = switches;
        Assert.Equal(format, ToolCallFormats.NameOf(ToolCallFormats.Detect(Source(name), "deepseek_v3")));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void An_earlier_call_is_written_as_the_model_writes_it_and_its_output_is_answered(string name, string format, bool switches)
    {
        _ = switches;
        var text = Render(name, """
            [{"role":"user","content":"Warm?"},
             {"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function","function":{"name":"weather","arguments":"{\"city\": \"Rome\"}"}}]},
             {"role":"tool","tool_call_id":"1","content":"warm"}]
            """);
        Assert.Contains(format == "deepseek_v31" ? V31Call : V3Call, text, StringComparison.Ordinal);
        Assert.Contains("<｜tool▁output▁begin｜>warm<｜tool▁output▁end｜>", text, StringComparison.Ordinal);
        var call = text[text.IndexOf("<｜tool▁calls▁begin｜>", StringComparison.Ordinal)..text.IndexOf("<｜tool▁calls▁end｜>", StringComparison.Ordinal)];
        var pieces = Parsing.ParsingKit.Whole(ToolCallFormats.Find(format)!.Value.CreateParser(), call);
        Assert.Equal(("weather", "{\"city\": \"Rome\"}"), Assert.Single(Parsing.ParsingKit.Calls(pieces)));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Thinking_decides_how_the_answer_begins_where_the_template_switches_it(string name, string format, bool switches)
    {
        _ = format;
        const string question = """[{"role":"user","content":"Warm?"}]""";
        var (unsaid, off, on) = (Render(name, question), Render(name, question, false), Render(name, question, true));
        if (!switches)
        {
            // The engine closes a thought that such a template opens.
            Assert.Equal(unsaid, on);
            Assert.False(new ReasoningParser(off).IsThinking);
            return;
        }

        Assert.Equal(unsaid, off);
        Assert.EndsWith("</think>", off, StringComparison.Ordinal);
        Assert.EndsWith("<｜Assistant｜><think>", on.TrimEnd(), StringComparison.Ordinal);
        Assert.False(new ReasoningParser(off).IsThinking);
        Assert.True(new ReasoningParser(on).IsThinking);
    }

    [Fact]
    public void A_thought_of_an_earlier_turn_is_not_repeated()
    {
        const string chat = """[{"role":"user","content":"Warm?"},{"role":"assistant","content":"<think>Rome is warm.</think>Yes."},{"role":"user","content":"Sure?"}]""";
        foreach (var name in All.Select(row => row.Data.Item1))
        {
            var text = Render(name, chat);
            Assert.DoesNotContain("Rome is warm.", text, StringComparison.Ordinal);
            Assert.Contains("Yes.<｜end▁of▁sentence｜>", text, StringComparison.Ordinal);
        }
    }

    private static string Render(string name, string messages, bool? thinking = null)
    {
        var variables = new Dictionary<string, JsonElement>();
        if (thinking is { } given)
            new ThinkingSetting(given, null).AddTo(variables);
        return ChatTemplate.Load(TestPaths.TinyR1, Source(name)).Render(new() { Messages = Rendering.Json(messages), ChatTemplateKwargs = variables }).Text;
    }

    private static string Source(string name) => name switch
    {
        "own V3.1" => DeepSeekTemplates.V31,
        "own R1-0528" => DeepSeekTemplates.R10528,
        _ => File.ReadAllText(TestPaths.Shared(["data", "templates", .. name.Split('/')])),
    };
}
