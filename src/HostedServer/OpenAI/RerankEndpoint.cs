using System.Text.Json.Nodes;
using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// <c>POST /rerank</c>, <c>/v1/rerank</c>, <c>/v2/rerank</c>: ranks documents by how well they answer a query, with the embedding model.
/// </summary>
internal sealed class RerankEndpoint(ServedEngine served, Admission admission, LocalLlmServerOptions options, UnknownFields unknown, TimeProvider time)
{
    /// <summary>Handles one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        served.RequireUsable();
        RerankRequest request;
        using (var body = await JsonBody.ReadAsync(context, options, time))
            request = RerankRequest.Read(body.RootElement);
        unknown.Report(request.Unknown);
        var engine = served.RequireEmbedder(request.Common.Model);
        var cutAt = Truncation.Of(request.Common.CutAt, Truncation.Field, engine);
        var scoring = new ScoringOptions
        {
            Weights = request.Weights ?? ScoreWeights.Of(options, engine),
            CutQueriesAt = cutAt,
            CutPassagesAt = Truncation.Of(request.CutDocumentsAt, RerankRequest.DocumentLength, engine) ?? cutAt,
        };
        using var permit = admission.Enter(Admission.SequencesOf(1 + request.Documents.Count), served.MaxSequences);
        var ranked = await WholeResponse.CreateAsync(context, admission, cancellationToken =>
            engine.RankAsync(request.Query, [.. request.Documents.Select(document => document.Text)], request.Top, scoring, cancellationToken));
        var results = ranked.Results.Select(document => new RerankItem(document.Index, request.ReturnDocuments ? Document(request.Documents[document.Index]) : null, document.Score));
        var tokens = (int)ranked.TokenCount;
        var response = new RerankResponse($"rerank-{ApiPipeline.RequestId(context, request.Common.RequestId)}", engine.ModelName, new(tokens, tokens), [.. results]);
        var json = EventStream.Json(response, WireJson.Wire.RerankResponse);
        permit.Release();
        await ApiPipeline.WriteJsonAsync(context, json);
    }

    private static JsonObject Document(TextItem document) => document.Given is { } given ? JsonObject.Create(given)! : new JsonObject { ["text"] = document.Text };
}
