using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>Reads <c>prompt</c>: a text, texts, token ids, or lists of token ids.</summary>
internal static class PromptField
{
    private const string Field = "prompt";
    private const string Allowed = "a text, a list of texts, a list of token ids, or a list of such lists";

    /// <summary>Returns a request for each prompt, or null if the field is missing or invalid (recorded as an error).</summary>
    public static IReadOnlyList<GenerationRequest>? Read(JsonFields fields, RequestErrors errors, int most)
    {
        if (fields.Take(Field) is not { } value)
        {
            errors.Add(Field, "nothing", Allowed);
            return null;
        }

        if (value.ValueKind == JsonValueKind.String)
            return [GenerationRequest.FromText(value.GetString()!)];
        if (value.ValueKind != JsonValueKind.Array)
        {
            fields.Refuse(Field, value, Allowed);
            return null;
        }

        if (value.GetArrayLength() == 0)
        {
            errors.Add(Field, "an empty list", Allowed);
            return null;
        }

        if (value[0].ValueKind == JsonValueKind.Number)
            return Ids(value, errors) is { } ids ? [GenerationRequest.FromTokenIds(ids)] : null;
        if (value.GetArrayLength() > most)
        {
            errors.Add(Field, $"{value.GetArrayLength()} prompts", $"1 to {most} in one request");
            return null;
        }

        var prompts = new List<GenerationRequest>();
        foreach (var item in value.EnumerateArray())
        {
            if (item.ValueKind == JsonValueKind.String && value[0].ValueKind == JsonValueKind.String)
                prompts.Add(GenerationRequest.FromText(item.GetString()!));
            else if (item.ValueKind == JsonValueKind.Array && value[0].ValueKind == JsonValueKind.Array && Ids(item, errors) is { } list)
                prompts.Add(GenerationRequest.FromTokenIds(list));
            else if (errors.Count == 0)
                errors.Add(Field, $"a list with {item.ValueKind.ToString().ToLowerInvariant()} in it", Allowed);
            if (errors.Count > 0)
                return null;
        }

        return prompts;
    }

    private static int[]? Ids(JsonElement list, RequestErrors errors)
    {
        var ids = new int[list.GetArrayLength()];
        var index = 0;
        foreach (var item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt32(out var id))
            {
                errors.Add(Field, item.ValueKind == JsonValueKind.Number ? item.GetRawText() : item.ValueKind.ToString().ToLowerInvariant(), "whole token ids in a list of token ids");
                return null;
            }

            ids[index++] = id;
        }

        return ids;
    }
}
