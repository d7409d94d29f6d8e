using System.Text.Json;
using LocalLlm.Sampling;

namespace LocalLlm.Server.JsonLines;

/// <summary>Fields of a line beyond the kinds that sampling parameters have.</summary>
internal static class FieldExtensions
{
    /// <summary>A text, or null where it is absent, null or wrong.</summary>
    public static string? Text(this JsonFields fields, string name, string allowed = "a text")
    {
        if (fields.Take(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.String)
            return fields.Strings(name, allowBare: true) is [var text] ? text : null;
        fields.Refuse(name, value, allowed);
        return null;
    }

    /// <summary>A value of one JSON kind, or null where it is absent, null or wrong.</summary>
    public static JsonElement? Json(this JsonFields fields, string name, JsonValueKind kind, string allowed)
    {
        if (fields.Take(name) is not { } value)
            return null;
        if (value.ValueKind == kind)
            return value;
        fields.Refuse(name, value, allowed);
        return null;
    }

    /// <summary>A text in which half of a surrogate pair (<c>"\ud800"</c>) counts as U+FFFD, as it does for the tokenizer.</summary>
    public static string? LenientText(this JsonFields fields, string name)
    {
        return fields.Take(name) is { ValueKind: JsonValueKind.String } value ? LoneSurrogates.TextOf(value) : fields.Text(name);
    }
}
