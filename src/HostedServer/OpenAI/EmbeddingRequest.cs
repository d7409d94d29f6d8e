using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>The body of <c>/v1/embeddings</c>. Only its form is validated here.</summary>
internal sealed record EmbeddingRequest
{
    // OpenAI's own limit.
    private const int MaxTexts = 2048;
    private const string Field = "input";
    private const string Allowed = "a text, a list of texts, a list of token ids, or a list of such lists";

    /// <summary>The texts, or null if the request has token ids.</summary>
    public IReadOnlyList<string>? Texts { get; init; }

    /// <summary>The texts as token ids, or null if the request has texts.</summary>
    public IReadOnlyList<IReadOnlyList<int>>? TokenIds { get; init; }

    /// <summary>The fields that the pooling routes share.</summary>
    public required PoolingFields Common { get; init; }

    /// <summary>Whether vectors are sent as base64 of little-endian floats.</summary>
    public bool IsBase64 { get; init; }

    /// <summary>The requested dimensions, or null.</summary>
    public int? Dimensions { get; init; }

    /// <summary>Unknown fields of the body.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>Number of texts.</summary>
    public int Count => Texts?.Count ?? TokenIds!.Count;

    /// <summary>Reads <paramref name="body"/>.</summary>
    /// <exception cref="EngineException">InvalidRequest.</exception>
    public static EmbeddingRequest Read(JsonElement body)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(body, errors);
        var common = PoolingFields.Read(fields, errors);
        // A refused field may be an alternative to the input: do not also report the input as missing.
        var (texts, ids) = errors.Count == 0 || fields.Take(Field) is not null ? Input(fields, errors) : default;
        var format = fields.Text("encoding_format");
        if (format is not (null or "float" or "base64"))
            errors.Add("encoding_format", format, "float or base64");
        if (common.CutAt is not null && ids is not null)
            errors.Add(Truncation.Field, "a number beside token ids", "only with texts");
        var request = new EmbeddingRequest
        {
            Texts = texts,
            TokenIds = ids,
            Common = common,
            IsBase64 = format == "base64",
            Dimensions = fields.Integer("dimensions"),
        };
        errors.ThrowIfAny();
        return request with { Unknown = fields.Unconsumed };
    }

    private static (IReadOnlyList<string>? Texts, IReadOnlyList<IReadOnlyList<int>>? Ids) Input(JsonFields fields, RequestErrors errors)
    {
        if (fields.Take(Field) is not { } input)
        {
            errors.Add(Field, "nothing", Allowed);
            return default;
        }

        if (input.ValueKind == JsonValueKind.String)
            return ([input.GetString()!], null);
        if (input.ValueKind != JsonValueKind.Array)
        {
            fields.Refuse(Field, input, Allowed);
            return default;
        }

        if (input.GetArrayLength() == 0)
        {
            errors.Add(Field, "an empty list", Allowed);
            return default;
        }

        var kind = input[0].ValueKind;
        if (kind == JsonValueKind.Number)
            return (null, Ids(fields, errors, Field, input) is { } single ? [single] : null);
        if (input.GetArrayLength() > MaxTexts)
        {
            errors.Add(Field, $"{input.GetArrayLength()} texts", $"1 to {MaxTexts} in one request");
            return default;
        }

        var (texts, lists) = (new List<string>(), new List<IReadOnlyList<int>>());
        foreach (var item in input.EnumerateArray())
        {
            var place = $"{Field}[{texts.Count + lists.Count}]";
            if (item.ValueKind == JsonValueKind.String && kind == item.ValueKind)
                texts.Add(item.GetString()!);
            else if (item.ValueKind == JsonValueKind.Array && kind == item.ValueKind && Ids(fields, errors, place, item) is { } ids)
                lists.Add(ids);
            else if (errors.Count == 0)
                fields.Refuse(place, item, kind switch { JsonValueKind.String => "a text, as the first is", JsonValueKind.Array => "a list of token ids, as the first is", _ => "a text, or a list of token ids" });
            // The first error shows what is wrong with the list.
            if (errors.Count > 0)
                return default;
        }

        return kind == JsonValueKind.String ? (texts, null) : (null, lists);
    }

    private static int[]? Ids(JsonFields fields, RequestErrors errors, string place, JsonElement list)
    {
        var ids = new List<int>(list.GetArrayLength());
        foreach (var item in list.EnumerateArray())
        {
            if (item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id))
            {
                ids.Add(id);
                continue;
            }

            fields.Refuse($"{place}[{ids.Count}]", item, "a whole number: the id of a token");
            return null;
        }

        return [.. ids];
    }
}
