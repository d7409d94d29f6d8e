using System.Buffers.Binary;
using System.Text.Json.Nodes;
using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /v1/embeddings</c>, by the model that embeds; where there is none, it says so.</summary>
internal sealed class EmbeddingEndpoint(ServedEngine served, Admission admission, LocalLlmServerOptions options, UnknownFields unknown, TimeProvider time)
{
    /// <summary>Answers one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        served.RequireUsable();
        EmbeddingRequest request;
        using (var body = await JsonBody.ReadAsync(context, options, time))
            request = EmbeddingRequest.Read(body.RootElement);
        unknown.Report(request.Unknown);
        var engine = served.RequireEmbedder(request.Model);
        if (request.Dimensions is { } dimensions && dimensions != engine.Dimensions)
            throw new ApiException(ApiError.Unsupported($"dimensions: given {dimensions}; '{engine.ModelName}' makes vectors of {engine.Dimensions}. Remove it.", "dimensions"));
        var cutAt = Truncation.Of(request.CutAt, Truncation.Field, engine);
        using var permit = admission.Enter(1, served.MostSequences);
        var made = await Answers.WholeAsync(context, admission, cancellationToken => request.Texts is { } texts
            ? engine.EmbedAsync(texts, EmbeddingKinds.Dense, cutAt, cancellationToken)
            : engine.EmbedTokensAsync(request.TokenIds!, cancellationToken: cancellationToken));
        permit.GiveBack();
        var tokens = made.Sum(embedding => embedding.TokenCount);
        var answer = new EmbeddingList(engine.ModelName, [.. made.Select((embedding, index) => new EmbeddingItem(index, Vector(embedding.Dense!, request.IsBase64)))], new(tokens, tokens));
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(answer, WireJson.Wire.EmbeddingList));
    }

    private static JsonNode Vector(IReadOnlyList<float> values, bool isBase64)
    {
        if (!isBase64)
            return new JsonArray([.. values.Select(value => (JsonNode)value)]);
        var bytes = new byte[values.Count * sizeof(float)];
        for (var i = 0; i < values.Count; i++)
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), values[i]);
        return Convert.ToBase64String(bytes);
    }
}
