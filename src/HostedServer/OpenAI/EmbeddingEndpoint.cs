using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /v1/embeddings</c>, served by the embedding model. Without one, the endpoint refuses requests.</summary>
internal sealed class EmbeddingEndpoint(ServedEngine served, Admission admission, LocalLlmServerOptions options, UnknownFields unknown, TimeProvider time)
{
    /// <summary>Handles one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        served.RequireUsable();
        EmbeddingRequest request;
        using (var body = await JsonBody.ReadAsync(context, options, time))
            request = EmbeddingRequest.Read(body.RootElement);
        unknown.Report(request.Unknown);
        var engine = served.RequireEmbedder(request.Common.Model);
        if (request.Dimensions is { } dimensions && dimensions != engine.Dimensions)
            throw new ApiException(ApiError.Unsupported($"dimensions: given {dimensions}; '{engine.ModelName}' computes vectors of {engine.Dimensions} numbers. Remove the field.", "dimensions"));
        var cutAt = Truncation.Of(request.Common.CutAt, Truncation.Field, engine);
        using var permit = admission.Enter(Admission.SequencesOf(request.Count), served.MaxSequences);
        var made = await WholeResponse.CreateAsync(context, admission, cancellationToken => request.Texts is { } texts
            ? engine.EmbedAsync(texts, EmbeddingKinds.Dense, cutAt, cancellationToken)
            : engine.EmbedTokensAsync(request.TokenIds!, cancellationToken: cancellationToken));
        var tokens = made.Sum(embedding => embedding.TokenCount);
        var response = new EmbeddingList(
            $"embd-{ApiPipeline.RequestId(context, request.Common.RequestId)}",
            time.GetUtcNow().ToUnixTimeSeconds(),
            engine.ModelName,
            [.. made.Select((embedding, index) => new EmbeddingItem(index, new(embedding.Dense!, request.IsBase64)))],
            new(tokens, tokens));
        var json = EventStream.Json(response, WireJson.Wire.EmbeddingList);
        permit.Release();
        await ApiPipeline.WriteJsonAsync(context, json);
    }
}
