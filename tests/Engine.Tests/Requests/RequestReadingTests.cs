using System.Text.Json;
using LocalLlm.Requests;
using Xunit;

namespace LocalLlm.Tests.Requests;

/// <summary>An untrusted request is read field by field, and one error reports all of its faults.</summary>
public sealed class RequestReadingTests
{
    private static readonly JsonElement Tools = Parse("""[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]""");

    [Fact]
    public void Every_fault_is_in_one_error_that_blames_the_first_field()
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(Parse("""{"a":"x","b":1.5,"c":1e400,"d":["x",1],"e":null,"f":"\ud800","g":true,"h":5}"""), errors);
        Assert.Null(fields.Boolean("a"));
        Assert.Null(fields.Integer("b"));
        Assert.Null(fields.Number("c"));
        Assert.Equal(["x"], fields.Strings("d", allowBare: false));
        Assert.Null(fields.Text("e"));
        Assert.Null(fields.Text("f"));
        Assert.Equal("\ud800", fields.LenientText("f"));
        Assert.True(fields.Boolean("g"));
        Assert.Equal(["h"], fields.Unconsumed);
        Assert.Equal(5, errors.Count);
        var failure = Assert.Throws<EngineException>(errors.ThrowIfAny);
        Assert.Equal((EngineErrorKind.InvalidRequest, "a"), (failure.Kind, failure.Parameter));
        Assert.All((string[])["a: given a string", "b: given 1.5", "c: given 1e400", "d: given 1", "f: given text with half of a surrogate pair"], part => Assert.Contains(part, failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Only_an_object_has_fields() =>
        Assert.Throws<ArgumentException>(() => new JsonFields(Parse("[1]"), new()));

    [Theory]
    [InlineData("""{}""", false, null, false)]
    [InlineData("""{"tool_choice":"none"}""", true, null, false)]
    [InlineData("""{"tool_choice":"auto"}""", false, "auto", false)]
    [InlineData("""{"tool_choice":"required"}""", false, "required", false)]
    [InlineData("""{"tool_choice":{"type":"function","function":{"name":"g"}}}""", false, "g", false)]
    [InlineData("""{"tool_choice":{"type":"function","function":{"name":"h"}}}""", false, "h", true)]
    [InlineData("""{"tool_choice":{"type":"allowed_tools"}}""", false, null, true)]
    [InlineData("""{"tool_choice":7}""", false, null, true)]
    public void A_tool_choice_is_what_openai_says_of_it(string body, bool isNone, string? expected, bool isWrong)
    {
        var errors = new RequestErrors();
        var choice = ToolChoiceJson.Read(new(Parse(body), errors), errors, Tools, out var none);
        Assert.Equal(isNone, none);
        Assert.Equal(expected, choice is null ? null : choice.FunctionName ?? (choice.IsRequired ? "required" : "auto"));
        Assert.Equal(isWrong, errors.Count > 0);
    }

    [Theory]
    [InlineData("""{"reasoning_effort":"low"}""", true, 1024)]
    [InlineData("""{"enable_thinking":false}""", false, 0)]
    [InlineData("""{"thinking":{"type":"enabled","budget_tokens":7}}""", true, 7)]
    [InlineData("""{"think":"max"}""", true, null)]
    public void Thinking_has_many_names_and_one_setting(string body, bool isEnabled, int? budget)
    {
        var errors = new RequestErrors();
        Assert.Equal(new(isEnabled, budget), ThinkingSetting.Read(new(Parse(body), errors), errors));
        Assert.Equal(0, errors.Count);
    }

    [Fact]
    public void Messages_of_other_apis_become_those_that_the_engine_reads()
    {
        var errors = new RequestErrors();
        var read = ChatMessagesJson.Read(Parse("""[{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"tool_use","id":"1","name":"f","input":{"a":1}}]}]"""), errors);
        Assert.Equal("hm", read[0].GetProperty("reasoning_content").GetString());
        Assert.Equal("f", read[0].GetProperty("tool_calls")[0].GetProperty("function").GetProperty("name").GetString());
        Assert.Equal(0, errors.Count);
    }

    private static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
