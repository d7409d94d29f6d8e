using System.Text.Json;
using LocalLlm.Sampling;
using LocalLlm.Server.JsonLines;

namespace LocalLlm.Server.OpenAI;

/// <summary>The body of <c>/v1/embeddings</c>, checked as far as its form goes.</summary>
internal sealed record EmbeddingRequest
{
    // OpenAI's own limit.
    private const int MostTexts = 2048;
    private const string Field = "input";
    private const string Allowed = "a text, a list of texts, a list of token ids, or a list of such lists";

    private static readonly string[] KnownFields = ["input", "model", "encoding_format", "dimensions", "user", Truncation.Field, "truncation_side", "request_id", "priority"];

    /// <summary>The texts, or null where token ids were given.</summary>
    public IReadOnlyList<string>? Texts { get; init; }

    /// <summary>The texts as token ids, or null where texts were given.</summary>
    public IReadOnlyList<IReadOnlyList<int>>? TokenIds { get; init; }

    /// <summary>The model's name, or null.</summary>
    public string? Model { get; init; }

    /// <summary>Whether vectors are sent as base64 of little-endian floats.</summary>
    public bool IsBase64 { get; init; }

    /// <summary>The dimensions asked for, or null.</summary>
    public int? Dimensions { get; init; }

    /// <summary>Where texts are cut, or null.</summary>
    public int? CutAt { get; init; }

    /// <summary>Names of the body that mean nothing here.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>How many texts.</summary>
    public int Count => Texts?.Count ?? TokenIds!.Count;

    /// <summary>Reads <paramref name="body"/>.</summary>
    /// <exception cref="EngineException">InvalidRequest.</exception>
    public static EmbeddingRequest Read(JsonElement body)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(body, errors);
        var (texts, ids) = Input(fields, errors);
        var format = fields.Text("encoding_format");
        if (format is not (null or "float" or "base64"))
            errors.Add("encoding_format", format, "float or base64");
        var request = new EmbeddingRequest
        {
            Texts = texts,
            TokenIds = ids,
            Model = fields.Text("model"),
            IsBase64 = format == "base64",
            CutAt = Truncation.Read(fields, errors, Truncation.Field),
            Dimensions = fields.Integer("dimensions"),
            Unknown = [.. fields.Names.Except(KnownFields)],
        };
        Truncation.ReadSide(fields, errors);
        if (request is { CutAt: not null, TokenIds: not null })
            errors.Add(Truncation.Field, "a number beside token ids", "only with texts");
        if (fields.Integer("priority") is not (null or 0))
            errors.AddUnsupported("priority");
        errors.ThrowIfAny();
        return request;
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
        if (input.ValueKind != JsonValueKind.Array || input.GetArrayLength() == 0)
        {
            errors.Add(Field, input.ValueKind == JsonValueKind.Array ? "an empty list" : input.ValueKind.ToString().ToLowerInvariant(), Allowed);
            return default;
        }

        if (input[0].ValueKind == JsonValueKind.Number)
            return (null, Ids(input, errors) is { } single ? [single] : null);
        if (input.GetArrayLength() > MostTexts)
        {
            errors.Add(Field, $"{input.GetArrayLength()} texts", $"1 to {MostTexts} in one request");
            return default;
        }

        if (input.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String))
            return ([.. input.EnumerateArray().Select(item => item.GetString()!)], null);
        var lists = input.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Array ? Ids(item, errors) : null).ToArray();
        if (lists.All(list => list is not null))
            return (null, lists!);
        if (errors.Count == 0)
            errors.Add(Field, "a list of several kinds", Allowed);
        return default;
    }

    private static int[]? Ids(JsonElement list, RequestErrors errors)
    {
        var ids = new List<int>();
        foreach (var item in list.EnumerateArray())
        {
            if (item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id))
            {
                ids.Add(id);
                continue;
            }

            errors.Add(Field, item.ValueKind == JsonValueKind.Number ? item.GetRawText() : item.ValueKind.ToString().ToLowerInvariant(), "whole token ids in a list of token ids");
            return null;
        }

        return [.. ids];
    }
}
