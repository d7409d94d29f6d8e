using System.Text.Json;
using LocalLlm.Templating.Values;

namespace LocalLlm.Templating;

/// <summary>Renders a template with variables as they are, without the preparation that a chat request gets.</summary>
public static class TemplateRenderer
{
    /// <summary>
    /// Renders <paramref name="source"/> as transformers' <c>apply_chat_template</c> would with these variables;
    /// <c>tools</c> and <c>documents</c> are None where they are not given.
    /// </summary>
    /// <param name="source">The template's text.</param>
    /// <param name="variables">A JSON object: <c>messages</c>, <c>add_generation_prompt</c>, <c>bos_token</c> and so on.</param>
    /// <param name="time">The clock and zone of <c>strftime_now</c>; the system's where null.</param>
    /// <param name="limits">What the render may cost; the defaults where null.</param>
    /// <exception cref="EngineException">
    /// <see cref="EngineErrorKind.ModelFolder"/> for a template that cannot be parsed, <see cref="EngineErrorKind.InvalidRequest"/>
    /// for one that fails on these variables; the message says where.
    /// </exception>
    public static string RenderVariables(string source, JsonElement variables, TimeProvider? time = null, TemplateLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (variables.ValueKind != JsonValueKind.Object)
            throw EngineException.InvalidRequest("variables", $"the variables of a template must be a JSON object, found {variables.ValueKind}");
        var template = Parse("template", source, limits);
        var dict = new PyDict { ["tools"] = null, ["documents"] = null };
        foreach (var (name, value) in TemplateValues.Object(variables, "variables").Items)
            dict[name] = value;
        return Render(template, "template", dict, time);
    }

    internal static JinjaTemplate Parse(string name, string source, TemplateLimits? limits)
    {
        try
        {
            return JinjaTemplate.Parse(source, limits);
        }
        catch (TemplateException e)
        {
            throw EngineException.ModelFolder(name, $"the chat template is invalid: {e.Describe()}", e);
        }
    }

    internal static string Render(JinjaTemplate template, string name, PyDict variables, TimeProvider? time, char? guard = null)
    {
        try
        {
            return template.Render(variables, time, guard);
        }
        catch (TemplateException e)
        {
            var message = e.Kind == TemplateErrorKind.Raised
                ? $"the chat template refused the request: {e.Message}"
                : $"the chat template failed on this request ({name}, {e.Describe()})";
            throw new EngineException(EngineErrorKind.InvalidRequest, message, "messages", e);
        }
    }
}
