using System.Numerics;
using Xunit;

namespace LocalLlm.Jinja.Tests;

public sealed class TemplateValuesTests
{
    [Fact]
    public void Numbers_are_read_as_python_reads_them()
    {
        var list = Assert.IsType<List<object?>>(TemplateValues.FromJson(Rendering.Json("[1, 1.0, 100000000000000000000, true, null]")));
        Assert.Equal([1L, 1.0, BigInteger.Pow(10, 20), true, null], list);
    }

    [Theory]
    [InlineData("""{"a":1,"a":2}""", "the member 'a' is given twice, allowed once")]
    [InlineData("[1e400]", "the number 1e400 is outside the range of a float")]
    [InlineData("[\"\\ud83d\"]", "a string contains half of a surrogate pair, which is not Unicode text")]
    public void What_cannot_be_a_value_is_an_error_that_says_why(string json, string message)
    {
        var error = Assert.Throws<TemplateException>(() => TemplateValues.FromJson(Rendering.Json(json)));
        Assert.Equal((TemplateErrorKind.Value, message), (error.Kind, error.Message));
    }

    [Fact]
    public void Text_that_a_model_wrote_is_read_leniently()
    {
        Assert.True(TemplateValues.TryParse("""{"a":1,"a":"\ud83d"}""", out var value));
        Assert.Equal("\ufffd", Assert.IsType<PyDict>(value).Get("a"));
        Assert.False(TemplateValues.TryParse("{", out _));
    }

    [Fact]
    public void A_value_is_written_as_tojson_writes_it()
    {
        var value = new PyDict { ["b"] = new List<object?> { 1L, 1.0, null }, ["a"] = "<é>" };
        Assert.Equal("""{"b": [1, 1.0, null], "a": "<é>"}""", TemplateValues.ToJson(value));
    }

    [Fact]
    public void Variables_that_are_no_object_are_refused() =>
        Assert.Equal(TemplateErrorKind.Value, Assert.Throws<TemplateException>(() => JinjaTemplate.Parse("x").Render(Rendering.Json("[]"))).Kind);

    [Fact]
    public void Tools_and_documents_are_none_where_they_are_not_given() =>
        Assert.Equal("True True", JinjaTemplate.Parse("{{ tools is none }} {{ documents is none }}").Render(Rendering.Json("{}")));
}
