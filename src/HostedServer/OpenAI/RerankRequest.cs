using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>The body of <c>/rerank</c>, in Jina's and Cohere's format. Only its form is validated here.</summary>
internal sealed record RerankRequest
{
    /// <summary>The field with the number of tokens that documents are truncated to.</summary>
    public const string DocumentLength = "max_tokens_per_doc";

    /// <summary>The query.</summary>
    public required string Query { get; init; }

    /// <summary>The documents to rank.</summary>
    public required IReadOnlyList<TextItem> Documents { get; init; }

    /// <summary>Number of documents to return; null: all.</summary>
    public int? Top { get; init; }

    /// <summary>Whether the response includes the documents themselves.</summary>
    public bool ReturnDocuments { get; init; }

    /// <summary>The fields that the pooling routes share.</summary>
    public required PoolingFields Common { get; init; }

    /// <summary>Maximum number of tokens that documents are truncated to, or null.</summary>
    public int? CutDocumentsAt { get; init; }

    /// <summary>The weight of each kind of score; null: the server's weights.</summary>
    public HybridWeights? Weights { get; init; }

    /// <summary>Unknown fields of the body.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>Reads <paramref name="body"/>; the result outlives the body's document.</summary>
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
            // As in vLLM, 0 means all.
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
