using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Requests;

/// <summary>A line of <c>embed</c>: an object with a text and an optional id, or a JSON string.</summary>
internal static class TextLine
{
    private const string Field = "text";

    private static readonly (string Name, string Option)[] OfCommand = [("dense", "--dense"), ("sparse", "--sparse"), ("colbert", "--colbert"), ("truncate", "--truncate")];

    private static readonly string[] NotHere = ["dimensions", "encoding_format", "max_length", "normalize", "truncate_prompt_tokens"];

    private static readonly string[] AllFields = [Field, .. OfCommand.Select(option => option.Name), .. NotHere];

    /// <summary>Reads a line.</summary>
    /// <param name="root">The line's JSON.</param>
    /// <param name="unread">Receives the names of members that are ignored.</param>
    /// <param name="id">The line's own id as written, even if the line is refused; null: none.</param>
    /// <exception cref="EngineException">InvalidRequest, listing everything that is wrong.</exception>
    public static string Read(JsonElement root, ICollection<string> unread, out string? id)
    {
        id = null;
        if (root.ValueKind == JsonValueKind.String)
            return LoneSurrogates.TextOf(root);
        var errors = new RequestErrors();
        var fields = new JsonFields(root, errors);
        if (fields.Take("id") is { } given)
        {
            if (given.ValueKind is JsonValueKind.String or JsonValueKind.Number)
                id = given.GetRawText();
            else
                fields.Refuse("id", given, "a text or a number");
        }

        var before = errors.Count;
        var text = fields.LenientText(Field);
        if (text is null && errors.Count == before)
            errors.Add(Field, fields.Names.Any() ? $"an object of {string.Join(", ", fields.Names)}" : "an empty object", "an object with a text, and an id if wanted");
        foreach (var (name, option) in OfCommand)
        {
            if (fields.Take(name) is not null)
                errors.Add(name, "an option in a line", $"it for all lines, as {option}");
        }

        foreach (var name in NotHere)
        {
            if (fields.Take(name) is not null)
                errors.AddUnsupported(name);
        }

        // A field that is present cannot be what a misspelt name means.
        var absent = AllFields.Except(fields.Names).ToArray();
        foreach (var name in fields.Unconsumed)
        {
            if (NearestName.Meant(name, absent) is { } meant)
                errors.Add(name, "a field that does not exist", $"known ones; did you mean {meant}?");
            else
                unread.Add(name);
        }

        errors.ThrowIfAny();
        return text!;
    }
}
