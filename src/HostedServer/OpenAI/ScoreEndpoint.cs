using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /score</c> and <c>/v1/score</c>: scores how well texts match, with the embedding model.</summary>
internal sealed class ScoreEndpoint(ServedEngine served, Admission admission, LocalLlmServerOptions options, UnknownFields unknown, TimeProvider time)
{
    /// <summary>Handles one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        served.RequireUsable();
        ScoreRequest request;
        using (var body = await JsonBody.ReadAsync(context, options, time))
            request = ScoreRequest.Read(body.RootElement);
        unknown.Report(request.Unknown);
        var engine = served.RequireEmbedder(request.Common.Model);
        var cutAt = Truncation.Of(request.Common.CutAt, Truncation.Field, engine);
        var scoring = new ScoringOptions
        {
            Weights = request.Weights ?? ScoreWeights.Of(options, engine),
            CutQueriesAt = cutAt,
            CutPassagesAt = cutAt,
            Queries = request.Names.First,
            Passages = request.Names.Second,
        };
        using var permit = admission.Enter(Admission.SequencesOf(request.First.Count + request.Second.Count), served.MaxSequences);
        var scored = await WholeResponse.CreateAsync(context, admission, cancellationToken => engine.ScorePairsAsync(request.First, request.Second, scoring, cancellationToken));
        var tokens = (int)scored.TokenCount;
        var response = new ScoreList(
            $"score-{ApiPipeline.RequestId(context, request.Common.RequestId)}", time.GetUtcNow().ToUnixTimeSeconds(), engine.ModelName, [.. scored.Scores.Select((score, index) => new ScoreItem(index, score))], new(tokens, tokens));
        var json = EventStream.Json(response, WireJson.Wire.ScoreList);
        permit.Release();
        await ApiPipeline.WriteJsonAsync(context, json);
    }
}
