using System.Text.Json;
using LocalLlm.Sampling;
using LocalLlm.Server.JsonLines;

namespace LocalLlm.Server.OpenAI;

/// <summary>The body of <c>/rerank</c>, as Jina and Cohere have it, checked as far as its form goes.</summary>
internal sealed record RerankRequest
{
    /// <summary>The field that says where documents are cut.</summary>
    public const string DocumentLength = "max_tokens_per_doc";

    private static readonly string[] KnownFields = ["query", "documents", "top_n", "return_documents", "weights", Truncation.Field, "truncation_side", DocumentLength, .. UnhonouredFields.Known];

    /// <summary>What is asked.</summary>
    public required string Query { get; init; }

    /// <summary>What may answer it.</summary>
    public required IReadOnlyList<TextItem> Documents { get; init; }

    /// <summary>How many are sent back, or null: all.</summary>
    public int? Top { get; init; }

    /// <summary>Whether documents are sent back with their scores.</summary>
    public bool ReturnDocuments { get; init; }

    /// <summary>Where all texts are cut, or null.</summary>
    public int? CutAt { get; init; }

    /// <summary>Where documents are cut, or null.</summary>
    public int? CutDocumentsAt { get; init; }

    /// <summary>How much each kind of score counts; null: as the server says.</summary>
    public HybridWeights? Weights { get; init; }

    /// <summary>The model's name, or null.</summary>
    public string? Model { get; init; }

    /// <summary>The request's id, or null.</summary>
    public string? RequestId { get; init; }

    /// <summary>Names of the body that mean nothing here.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>Reads <paramref name="body"/>; what it gives outlives the body's document.</summary>
    /// <exception cref="EngineException">InvalidRequest.</exception>
    public static RerankRequest Read(JsonElement body)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(body, errors);
        UnhonouredFields.Refuse(fields, errors);
        var query = fields.Text("query");
        if (query is null && errors.Count == 0)
            errors.Add("query", "nothing", "a text");
        var documents = TextList.Read(fields, errors, "documents", allowBare: false);
        if (documents is null && errors.Count == 0)
            errors.Add("documents", "nothing", "a list of texts");
        Truncation.ReadSide(fields, errors);
        var top = fields.Integer("top_n", 0, int.MaxValue);
        var request = new RerankRequest
        {
            Query = query ?? "",
            Documents = documents ?? [],
            // As vLLM: none is all.
            Top = top is null or 0 ? null : (int)top,
            ReturnDocuments = fields.Boolean("return_documents") ?? true,
            CutAt = Truncation.Read(fields, errors, Truncation.Field),
            CutDocumentsAt = Truncation.Read(fields, errors, DocumentLength),
            Weights = ScoreWeights.Read(fields, errors),
            Model = fields.Text("model"),
            RequestId = fields.Text("request_id"),
            Unknown = [.. fields.Names.Except(KnownFields)],
        };
        errors.ThrowIfAny();
        return request;
    }
}
