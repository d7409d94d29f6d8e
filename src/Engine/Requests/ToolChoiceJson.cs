using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>Reads OpenAI's <c>tool_choice</c>.</summary>
public static class ToolChoiceJson
{
    private const string Field = "tool_choice";

    /// <summary>The tool choice in the request; null if it is absent, <c>none</c>, or wrong (which is recorded).</summary>
    /// <param name="fields">The request's fields.</param>
    /// <param name="errors">Receives faults.</param>
    /// <param name="tools">The request's tools in the form of OpenAI's API; null: none.</param>
    /// <param name="isNone">Whether the choice is <c>none</c>: the prompt then describes no tools.</param>
    public static ToolChoice? Read(JsonFields fields, RequestErrors errors, JsonElement? tools, out bool isNone)
    {
        ArgumentNullException.ThrowIfNull(fields);
        ArgumentNullException.ThrowIfNull(errors);
        isNone = false;
        if (fields.Take(Field) is not { } choice)
            return null;
        var name = choice.ValueKind == JsonValueKind.String ? choice.GetString() : null;
        isNone = name == "none";
        if (isNone)
            return null;
        if (tools is null)
        {
            // Without tools, only auto makes sense.
            if (errors.Count == 0 && name != "auto")
                errors.Add(Field, name ?? FunctionName(choice) ?? "a tool", "only together with at least one of tools");
            return null;
        }

        switch (name)
        {
            case "auto":
                return ToolChoice.Auto;
            case "required":
                return ToolChoice.Required;
        }

        if (Text(choice, "type") == "allowed_tools")
        {
            errors.AddUnsupported(Field, "type allowed_tools", "none, auto, required and a named function");
            return null;
        }

        if (FunctionName(choice) is not { Length: > 0 } function)
        {
            const string allowed = "none, auto, required or {\"type\": \"function\", \"function\": {\"name\": …}}";
            errors.Add(Field, name ?? choice.ValueKind.ToString().ToLowerInvariant(), allowed);
            return null;
        }

        string?[] names = [.. tools.Value.EnumerateArray().Select(FunctionName)];
        if (!names.Contains(function))
        {
            var known = string.Join(", ", names);
            var advice = $"name one of them, or add {RequestErrors.Printable(function)} to tools";
            errors.Add(Field, function, $"the name of one of the request's tools ({known}); {advice}");
        }

        return ToolChoice.Function(function);
    }

    /// <summary>The name in <c>{"type": "function", "function": {"name": …}}</c>, or null.</summary>
    internal static string? FunctionName(JsonElement holder) =>
        Text(holder, "type") == "function" && holder.TryGetProperty("function", out var function) ? Text(function, "name") : null;

    private static string? Text(JsonElement holder, string name) =>
        holder.ValueKind == JsonValueKind.Object && holder.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
}
