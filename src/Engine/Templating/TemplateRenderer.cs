using System.Text.Json;
using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>
/// Renders a template with given variables, without the preparation of a chat request. It turns every failure of a template into an
/// <see cref="EngineException"/>. If the template is at fault, the inner exception is the <see cref="TemplateException"/>.
/// </summary>
public static class TemplateRenderer
{
    /// <summary>
    /// Renders <paramref name="source"/> as transformers' <c>apply_chat_template</c> would with these variables;
    /// <c>tools</c> and <c>documents</c> are None if they are not given.
    /// </summary>
    /// <param name="source">The template's text.</param>
    /// <param name="variables">A JSON object: <c>messages</c>, <c>add_generation_prompt</c>, <c>bos_token</c> and so on.</param>
    /// <param name="time">The clock and zone of <c>strftime_now</c>; null: the system's.</param>
    /// <param name="limits">The limits of the render; null: the defaults.</param>
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
        foreach (var (name, value) in Object(variables, "variables").Items)
            dict[name] = value;
        return Render(template, "template", dict, time);
    }

    /// <summary>Converts a request's JSON to a value for a template.</summary>
    /// <param name="element">The JSON.</param>
    /// <param name="field">The request field that contains it.</param>
    /// <exception cref="EngineException">The JSON cannot become a value for a template; the error names the field.</exception>
    internal static object? Value(JsonElement element, string field) => Checked(field, () => TemplateValues.FromJson(element));

    /// <summary>As <see cref="Value"/>, for a JSON object.</summary>
    internal static PyDict Object(JsonElement element, string field) => Checked(field, () => TemplateValues.Object(element));

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

    private static T Checked<T>(string field, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (TemplateException e)
        {
            throw EngineException.InvalidRequest(field, $"{field}: {e.Message}");
        }
    }
}
