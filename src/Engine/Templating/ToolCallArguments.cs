using System.Text.Json;
using LocalLlm.Jinja;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Templating;

/// <summary>The form in which a template gets the arguments of earlier tool calls.</summary>
internal enum ArgumentsForm
{
    /// <summary>The values of the JSON text, as most templates want them.</summary>
    Values,

    /// <summary>JSON text, for templates that append it to text.</summary>
    Text,

    /// <summary>Objects only, for templates that iterate over the arguments.</summary>
    Objects,
}

/// <summary>
/// The arguments of earlier tool calls. A client sends back what the model wrote, so nothing is refused. If the text is not a JSON object
/// (because the model was cut off or made a mistake), a template that takes text gets it unchanged, and any other gets an empty object.
/// </summary>
/// <param name="form">The form that the template gets.</param>
/// <param name="templateTakesText">Whether the template accepts text although it usually gets values.</param>
internal sealed partial class ToolCallArguments(ArgumentsForm form, bool templateTakesText)
{
    /// <summary>The arguments in the template's form.</summary>
    /// <param name="arguments">JSON text, or the value itself; null or empty: no arguments.</param>
    public object Of(object? arguments)
    {
        var text = arguments as string;
        if (string.IsNullOrWhiteSpace(text) && arguments is null or string)
            return form == ArgumentsForm.Text ? "{}" : new PyDict();
        if (form == ArgumentsForm.Text)
            return text ?? TemplateValues.ToJson(arguments);
        var value = arguments;
        if (text is not null && !TemplateValues.TryParse(text, out value))
            value = null;
        if (value is PyDict)
            return value;
        return templateTakesText && form == ArgumentsForm.Values ? text ?? TemplateValues.ToJson(arguments) : new PyDict();
    }

    /// <summary>Logs one warning about all arguments in a chat that are not JSON objects, if there are any.</summary>
    /// <param name="messages">The messages as in OpenAI's API.</param>
    /// <param name="logger">Receives the warning; null: nothing is logged.</param>
    public static void LogMalformed(JsonElement messages, ILogger? logger)
    {
        if (logger is null || messages.ValueKind != JsonValueKind.Array || Malformed(messages).ToArray() is not { Length: > 0 } names)
            return;
        WarnOfMalformed(logger, names.Length, string.Join(", ", names.Distinct(StringComparer.Ordinal).Take(3).Select(Requests.RequestErrors.Printable)));
    }

    // The names of the functions with malformed arguments.
    private static IEnumerable<string> Malformed(JsonElement messages)
    {
        foreach (var message in messages.EnumerateArray())
        {
            if (Member(message, "tool_calls", JsonValueKind.Array) is not { } calls)
                continue;
            foreach (var call in calls.EnumerateArray())
            {
                if (Member(call, "function", JsonValueKind.Object) is { } function
                    && Member(function, "arguments", JsonValueKind.String)?.GetString() is { } text && !string.IsNullOrWhiteSpace(text)
                    && !(TemplateValues.TryParse(text, out var value) && value is PyDict))
                    yield return Member(function, "name", JsonValueKind.String)?.GetString() ?? "?";
            }
        }
    }

    private static JsonElement? Member(JsonElement holder, string name, JsonValueKind kind) =>
        holder.ValueKind == JsonValueKind.Object && holder.TryGetProperty(name, out var value) && value.ValueKind == kind ? value : null;

    [LoggerMessage(30, LogLevel.Warning, "{Count} earlier tool calls of a chat have arguments that are not a JSON object (functions: {Functions}); "
        + "the model sees them as text where its chat template takes text, else as {{}}.")]
    private static partial void WarnOfMalformed(ILogger logger, int count, string functions);
}
