using System.Buffers.Binary;
using System.Text.Json.Nodes;
using LocalLlm.Extensions.AI;
using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /v1/embeddings</c>, by the model of <c>AddLocalLlmEmbeddings</c>; where there is none, it says so.</summary>
internal sealed class EmbeddingEndpoint(ServedEngine served, Admission admission, LocalLlmServerOptions options, UnknownFields unknown, TimeProvider time, IServiceProvider services)
{
    private readonly EmbeddingHost? _host = services.GetService<EmbeddingHost>();

    /// <summary>Answers one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var generator = served.Require();
        EmbeddingRequest request;
        using (var body = await JsonBody.ReadAsync(context, options, time))
            request = EmbeddingRequest.Read(body.RootElement);
        unknown.Report(request.Unknown);
        var engine = Engine(request.Model, generator);
        if (request.Dimensions is { } dimensions && dimensions != engine.Dimensions)
            throw new ApiException(ApiError.Unsupported($"dimensions: given {dimensions}; '{engine.ModelName}' makes vectors of {engine.Dimensions}. Remove it.", "dimensions"));
        using var permit = admission.Enter(1, served.MostSequences(generator));
        var made = await Answers.WholeAsync(context, admission, cancellationToken => request.Texts is { } texts
            ? engine.EmbedAsync(texts, cancellationToken: cancellationToken)
            : engine.EmbedTokensAsync(request.TokenIds!, cancellationToken: cancellationToken));
        permit.GiveBack();
        var tokens = made.Sum(embedding => embedding.TokenCount);
        var answer = new EmbeddingList(engine.ModelName, [.. made.Select((embedding, index) => new EmbeddingItem(index, Vector(embedding.Dense!, request.IsBase64)))], new(tokens, tokens));
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(answer, WireJson.Wire.EmbeddingList));
    }

    private EmbeddingEngine Engine(string? model, LlmEngine generator)
    {
        if (_host is not null && (string.IsNullOrEmpty(model) || model == _host.ModelId))
            return _host.Loaded is { IsAlive: true } engine ? engine : throw new ApiException(_host.Failure is null
                ? ApiError.Unavailable("The embedding model is not loaded yet. Try again later.", "model_loading")
                : ApiError.Unavailable("The embedding model could not be loaded; the server must be started with another one.", "load_failed"));
        served.CheckModel(model);
        throw new ApiException(ApiError.Invalid(
            $"The model '{generator.ModelName}' generates text and makes no embeddings; {(_host is null ? "serve an embedding model (--embedding-model), or call /v1/chat/completions." : $"the one that does is '{_host.ModelId}'.")}",
            "model",
            "model_not_supported"));
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
