using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>The body of <c>/rerank</c>, as Jina and Cohere have it, checked as far as its form goes.</summary>
internal sealed record RerankRequest
{
    /// <summary>The field that says where documents are cut.</summary>
    public const string DocumentLength = "max_tokens_per_doc";

    /// <summary>What is asked.</summary>
    public required string Query { get; init; }

    /// <summary>What may answer it.</summary>
    public required IReadOnlyList<TextItem> Documents { get; init; }

    /// <summary>How many are sent back, or null: all.</summary>
    public int? Top { get; init; }

    /// <summary>Whether documents are sent back with their scores.</summary>
    public bool ReturnDocuments { get; init; }

    /// <summary>What it has in common with the other routes.</summary>
    public required PoolingFields Common { get; init; }

    /// <summary>Where documents are cut, or null.</summary>
    public int? CutDocumentsAt { get; init; }

    /// <summary>How much each kind of score counts; null: as the server says.</summary>
    public HybridWeights? Weights { get; init; }

    /// <summary>Names of the body that mean nothing here.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>Reads <paramref name="body"/>; what it gives outlives the body's document.</summary>
    /// <exception cref="EngineException">InvalidRequest.</exception>
    public static RerankRequest Read(JsonElement body)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(body, errors);
        var common = PoolingFields.Read(fields, errors);
        var query = fields.Text("query");
        if (query is null && errors.Count == 0)
            errors.Add("query", "nothing", "a text");
        var documents = TextList.Read(fields, errors, "documents", allowBare: false);
        if (documents is null && errors.Count == 0)
            errors.Add("documents", "nothing", "a list of texts");
        var top = fields.Integer("top_n", 0, int.MaxValue);
        var request = new RerankRequest
        {
            Query = query ?? "",
            Documents = documents ?? [],
            // As vLLM: none is all.
            Top = top is null or 0 ? null : (int)top,
            ReturnDocuments = fields.Boolean("return_documents") ?? true,
            Common = common,
            CutDocumentsAt = Truncation.Read(fields, errors, DocumentLength),
            Weights = ScoreWeights.Read(fields, errors),
        };
        errors.ThrowIfAny();
        return request with { Unknown = fields.Unconsumed };
    }
}
