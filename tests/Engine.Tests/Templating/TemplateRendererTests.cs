using LocalLlm.Jinja;
using LocalLlm.Templating;
using Xunit;

namespace LocalLlm.Tests.Templating;

/// <summary>Every failure of a template is one of the engine's errors, and says who is to blame.</summary>
public sealed class TemplateRendererTests
{
    [Fact]
    public void A_template_that_cannot_be_parsed_is_the_model_folders_fault()
    {
        var error = Assert.Throws<EngineException>(() => TemplateRenderer.RenderVariables("a\n{% for %}", Rendering.Json("{}")));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.StartsWith("template: the chat template is invalid: line 2: ", error.Message, StringComparison.Ordinal);
        Assert.Equal(TemplateErrorKind.Syntax, Assert.IsType<TemplateException>(error.InnerException).Kind);
    }

    [Theory]
    [InlineData("{{ raise_exception('no tools here') }}", "the chat template refused the request: no tools here", TemplateErrorKind.Raised)]
    [InlineData("{{ 1 / 0 }}", "the chat template failed on this request (template, line 1: division by zero)", TemplateErrorKind.Arithmetic)]
    public void A_template_that_fails_is_the_requests_fault(string source, string message, TemplateErrorKind kind)
    {
        var error = Assert.Throws<EngineException>(() => TemplateRenderer.RenderVariables(source, Rendering.Json("{}")));
        Assert.Equal((EngineErrorKind.InvalidRequest, message, "messages"), (error.Kind, error.Message, error.Parameter));
        Assert.Equal(kind, Assert.IsType<TemplateException>(error.InnerException).Kind);
    }

    [Theory]
    [InlineData("[]", "the variables of a template must be a JSON object, found Array")]
    [InlineData("""{"a":1e400}""", "variables: the number 1e400 is outside the range of a float")]
    public void Variables_that_cannot_be_values_are_refused_by_the_name_of_their_field(string variables, string message)
    {
        var error = Assert.Throws<EngineException>(() => TemplateRenderer.RenderVariables("", Rendering.Json(variables)));
        Assert.Equal((EngineErrorKind.InvalidRequest, message, "variables"), (error.Kind, error.Message, error.Parameter));
    }

    [Fact]
    public void Variables_are_what_the_template_sees() => Assert.Equal("x True", TemplateRenderer.RenderVariables("{{ a }} {{ tools is none }}", Rendering.Json("""{"a":"x"}""")));
}
