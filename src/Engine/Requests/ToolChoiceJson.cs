using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>Reads OpenAI's <c>tool_choice</c>.</summary>
public static class ToolChoiceJson
{
    private const string Field = "tool_choice";

    /// <summary>What the field says; null where it says nothing, or <c>none</c>, or is wrong (recorded).</summary>
    /// <param name="fields">The request.</param>
    /// <param name="errors">Where faults go.</param>
    /// <param name="tools">The request's tools as in OpenAI's API; null: it has none.</param>
    /// <param name="isNone">Whether it says <c>none</c>: the model is not told of the tools.</param>
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
            // The model decides among no tools.
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

        if (choice.ValueKind == JsonValueKind.Object && choice.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("allowed_tools"))
        {
            errors.AddUnsupported(Field, "type allowed_tools", "none, auto, required and a named function");
            return null;
        }

        if (FunctionName(choice) is not { Length: > 0 } function)
        {
            errors.Add(Field, name ?? choice.ValueKind.ToString().ToLowerInvariant(), "none, auto, required or {\"type\": \"function\", \"function\": {\"name\": …}}");
            return null;
        }

        string?[] names = [.. tools.Value.EnumerateArray().Select(FunctionName)];
        if (!names.Contains(function))
        {
            errors.Add(
                Field, function, $"the name of one of the request's tools ({string.Join(", ", names)}); name one of them, or add {RequestErrors.Printable(function)} to tools");
        }

        return ToolChoice.Function(function);
    }

    /// <summary>The name in <c>{"type": "function", "function": {"name": …}}</c>, or null.</summary>
    internal static string? FunctionName(JsonElement holder) =>
        holder.ValueKind == JsonValueKind.Object && holder.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("function")
        && holder.TryGetProperty("function", out var function) && function.ValueKind == JsonValueKind.Object && function.TryGetProperty("name", out var name) && name.ValueKind == JsonValueKind.String
            ? name.GetString()
            : null;
}
