using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Jinja.Tests;

/// <summary>Jinja2 features that no known chat template uses: they are refused by name, and only when rendering reaches them.</summary>
public sealed class OmittedTests
{
    [Theory]
    [InlineData("batch(2)")]
    [InlineData("center")]
    [InlineData("filesizeformat")]
    [InlineData("forceescape")]
    [InlineData("groupby('a')")]
    [InlineData("pprint")]
    [InlineData("random")]
    [InlineData("slice(2)")]
    [InlineData("striptags")]
    [InlineData("truncate(9)")]
    [InlineData("urlencode")]
    [InlineData("urlize")]
    [InlineData("wordcount")]
    [InlineData("wordwrap(9)")]
    [InlineData("xmlattr")]
    public void A_filter_that_no_chat_template_uses_is_refused_by_name(string filter)
    {
        var name = filter.Split('(')[0];
        IsRefused($"{{{{ 'a'|{filter} }}}}", $"filter '{name}'");
        IsRefused($"{{{{ ['a']|map('{name}')|list }}}}", $"filter '{name}'");
        IsRefused($"{{% filter {filter} %}}a{{% endfilter %}}", $"filter '{name}'");
    }

    [Theory]
    [InlineData("escaped")]
    [InlineData("filter")]
    [InlineData("test")]
    public void A_test_that_no_chat_template_uses_is_refused_by_name(string name)
    {
        IsRefused($"{{{{ 'a' is {name} }}}}", $"test '{name}'");
        IsRefused($"{{{{ ['a']|select('{name}')|list }}}}", $"test '{name}'");
    }

    [Theory]
    [InlineData("cycler")]
    [InlineData("joiner")]
    [InlineData("lipsum")]
    public void A_function_that_no_chat_template_uses_is_refused_by_name(string name) =>
        IsRefused($"{{{{ {name}('a') }}}}", $"function '{name}'");

    [Theory]
    [InlineData("casefold")]
    [InlineData("center")]
    [InlineData("encode")]
    [InlineData("expandtabs")]
    [InlineData("format_map")]
    [InlineData("isidentifier")]
    [InlineData("isprintable")]
    [InlineData("istitle")]
    [InlineData("ljust")]
    [InlineData("maketrans")]
    [InlineData("rjust")]
    [InlineData("swapcase")]
    [InlineData("translate")]
    [InlineData("zfill")]
    public void A_method_of_strings_that_no_chat_template_uses_is_refused_by_name(string name)
    {
        IsRefused($"{{{{ 'a'.{name}(9) }}}}", $"method 'str.{name}'");
        IsRefused($"{{{{ ('a'|safe)['{name}'](9) }}}}", $"method 'str.{name}'");
    }

    [Theory]
    [InlineData("m.name", "Macro.name")]
    [InlineData("m.arguments", "Macro.arguments")]
    [InlineData("m.catch_kwargs", "Macro.catch_kwargs")]
    [InlineData("m.catch_varargs", "Macro.catch_varargs")]
    [InlineData("m.caller", "Macro.caller")]
    [InlineData("m.explicit_caller", "Macro.explicit_caller")]
    [InlineData("range(3).start", "range.start")]
    [InlineData("range(3).stop", "range.stop")]
    [InlineData("range(3).step", "range.step")]
    [InlineData("1.5.real", "float.real")]
    [InlineData("1.5.imag", "float.imag")]
    [InlineData("1.5.conjugate()", "float.conjugate")]
    [InlineData("1.5.is_integer()", "float.is_integer")]
    [InlineData("true['imag']", "bool.imag")]
    [InlineData("(1)|attr('real')", "int.real")]
    [InlineData("(1).conjugate()", "int.conjugate")]
    [InlineData("(1).is_integer()", "int.is_integer")]
    [InlineData("(1).numerator", "int.numerator")]
    [InlineData("(1).denominator", "int.denominator")]
    [InlineData("(2 ** 99).bit_length()", "int.bit_length")]
    public void An_attribute_that_no_chat_template_reads_is_refused_by_name(string expression, string name) =>
        IsRefused($"{{% macro m(a) %}}{{% endmacro %}}{{{{ {expression} }}}}", $"attribute '{name}'");

    [Fact]
    public void What_is_never_reached_is_not_refused() =>
        Assert.Equal("b", Rendering.Render("{% if false %}{{ 'a'|pprint }}{{ joiner() }}{{ 'a'.zfill(3) }}{{ 1 is test }}{% endif %}b"));

    [Fact]
    public void Made_up_templates_that_reach_one_are_refused_by_name()
    {
        var path = Path.Combine(TestPaths.Repository, "tests", "Jinja.Tests", "jinja2_vectors.json");
        using var document = JsonDocument.Parse(File.ReadAllText(path));
        var variables = document.RootElement.GetProperty("variables");
        var vectors = document.RootElement.GetProperty("refused");
        Assert.True(vectors.GetArrayLength() >= 50);
        foreach (var vector in vectors.EnumerateArray())
            IsRefused(vector[0].GetString()!, $" '{vector[2].GetString()}'", variables.GetRawText());
    }

    private static void IsRefused(string source, string what, string variables = "{}")
    {
        var error = Assert.Throws<TemplateException>(() => Rendering.Render(source, variables));
        Assert.Equal(TemplateErrorKind.Runtime, error.Kind);
        Assert.StartsWith("this interpreter does not have the ", error.Message, StringComparison.Ordinal);
        Assert.Contains($"{what}, which no known chat template uses", error.Message, StringComparison.Ordinal);
        Assert.True(error.Line > 0, source);
    }
}
