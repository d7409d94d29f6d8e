using System.Text.Json;
using LocalLlm.Templating;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Templating;

/// <summary>A client sends back what the model once wrote; none of it may end the chat.</summary>
public class ToolCallArgumentsTests
{
    private const string Calls = "{% for m in messages %}{% for c in m.tool_calls or [] %}";
    private const string End = "{% endfor %}{% endfor %}";
    private const string Values = Calls + "{{ c.function.arguments | tojson }}" + End;
    private const string Asks = Calls + "{% set a = c.function.arguments %}{% if a is string %}{{ a }}{% else %}{{ a | tojson }}{% endif %}" + End;
    private const string Appends = Calls + "{{ 'x' + c.function.arguments }}" + End;
    private const string Walks = Calls + "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}." + End;

    [Theory]
    [InlineData("{\"city\": \"Par")]
    [InlineData("{'city': 'Paris'}")]
    [InlineData("{\"n\": 1e999}")]
    [InlineData("get_weather(city)")]
    [InlineData("{\"a\": 1}}")]
    public void Malformed_arguments_reach_a_template_that_takes_text_and_are_empty_elsewhere(string arguments)
    {
        Assert.Equal("{}", Render(Values, arguments));
        Assert.Equal(arguments, Render(Asks, arguments));
        Assert.Equal("x" + arguments, Render(Appends, arguments));
        Assert.Equal(".", Render(Walks, arguments));
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \n")]
    public void Absent_arguments_are_an_empty_object(string arguments)
    {
        Assert.Equal("{}", Render(Values, arguments));
        Assert.Equal("x{}", Render(Appends, arguments));
        Assert.Equal(".", Render(Walks, arguments));
    }

    [Theory]
    [InlineData("[1, 2]")]
    [InlineData("5")]
    [InlineData("true")]
    [InlineData("[]")]
    [InlineData("\"x\"")]
    public void Json_that_is_no_object_reaches_a_template_that_takes_text_and_is_empty_elsewhere(string arguments)
    {
        Assert.Equal("{}", Render(Values, arguments));
        Assert.Equal(arguments, Render(Asks, arguments));
        Assert.Equal("x" + arguments, Render(Appends, arguments));
        Assert.Equal(".", Render(Walks, arguments));
    }

    [Theory]
    [InlineData("7")]
    [InlineData("true")]
    [InlineData("[1, 2]")]
    public void A_value_that_is_no_object_is_treated_like_its_text(string value)
    {
        using var folder = new TemporaryFolder();
        var messages = Rendering.Json($$$"""[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{{{value}}}}}]}]""");
        foreach (var (source, rendered) in ((string, string)[])[(Values, "{}"), (Asks, value), (Appends, "x" + value), (Walks, ".")])
            Assert.Equal(rendered, ChatTemplate.Load(folder.Path, source).Render(new() { Messages = messages }).Text);
    }

    [Theory]
    [InlineData("""{"a": "\ud83d"}""", "{\"a\": \"\ufffd\"}")]
    [InlineData("""{"a": "\udc00x"}""", "{\"a\": \"\ufffdx\"}")]
    [InlineData("""{"a": "\ud83d\ude00"}""", "{\"a\": \"😀\"}")]
    [InlineData("""{"a": "\\ud83d"}""", """{"a": "\\ud83d"}""")]
    [InlineData("""{"\uD83D": 1}""", "{\"\ufffd\": 1}")]
    public void Half_of_a_surrogate_pair_becomes_the_replacement_character(string arguments, string rendered) => Assert.Equal(rendered, Render(Values, arguments));

    [Fact]
    public void The_tiny_model_sees_malformed_arguments_as_it_wrote_them()
    {
        var messages = Messages("{\"city\": \"Par");
        Assert.Contains("```json\n{\"city\": \"Par\n```", ChatTemplate.Load(TestPaths.TinyR1).Render(new() { Messages = messages }).Text, StringComparison.Ordinal);
    }

    // What histories of clients hold around calls: none of it is refused.
    [Theory]
    [InlineData("""{"role":"assistant","content":null}""")]
    [InlineData("""{"role":"assistant","content":""}""")]
    [InlineData("""{"role":"assistant"}""")]
    [InlineData("""{"role":"assistant","content":[]}""")]
    [InlineData("""{"role":"assistant","content":"x","tool_calls":null}""")]
    [InlineData("""{"role":"assistant","content":"x","tool_calls":[]}""")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[]}""")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f"}}]}""")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"id":null,"type":"function","function":{"name":"f","arguments":null}}]}""")]
    [InlineData("""{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}},{"id":"1","function":{"name":"f","arguments":"{}"}}]}""")]
    [InlineData("""{"role":"assistant","content":null,"reasoning_content":"thought"}""")]
    [InlineData("""{"role":"assistant","content":null,"reasoning_content":""}""")]
    [InlineData("""{"role":"assistant","content":null,"refusal":null,"annotations":[],"audio":null,"function_call":null}""")]
    [InlineData("""{"role":"tool","content":"42"}""")]
    [InlineData("""{"role":"tool","tool_call_id":"nobody","content":"42"}""")]
    [InlineData("""{"role":"tool","tool_call_id":"1","content":null}""")]
    public void Whatever_a_history_holds_the_tiny_model_goes_on(string message)
    {
        var messages = Rendering.Json($$"""[{"role":"user","content":"q"},{{message}},{"role":"user","content":"r"}]""");
        Assert.Contains("<｜User｜>r", ChatTemplate.Load(TestPaths.TinyR1).Render(new() { Messages = messages }).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Malformed_arguments_are_one_warning_with_the_functions_names()
    {
        using var logs = new CollectedLogs();
        ToolCallArguments.LogMalformed(Messages("{\"a\"", "[1]", "{}", ""), logs);
        Assert.StartsWith("2 earlier tool calls of a chat have arguments that are not a JSON object (functions: f0, f1)", Assert.Single(logs.Warnings), StringComparison.Ordinal);
        ToolCallArguments.LogMalformed(Messages("{}"), logs);
        Assert.Single(logs.Warnings);
    }

    private static string Render(string source, string arguments)
    {
        using var folder = new TemporaryFolder();
        return ChatTemplate.Load(folder.Path, source).Render(new() { Messages = Messages(arguments) }).Text;
    }

    private static JsonElement Messages(params string[] arguments) => JsonSerializer.SerializeToElement(new object[]
    {
        new { role = "user", content = "q" },
        new { role = "assistant", content = (string?)null, tool_calls = arguments.Select((text, i) => new { id = "1", type = "function", function = new { name = $"f{i}", arguments = text } }) },
    });
}
