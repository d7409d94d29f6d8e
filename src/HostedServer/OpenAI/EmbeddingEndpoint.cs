using LocalLlm.Sampling;
using LocalLlm.Server.Http;
using LocalLlm.Server.JsonLines;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /v1/embeddings</c>: checks the request, and says that the model makes no embeddings.</summary>
internal sealed class EmbeddingEndpoint(ServedEngine served, LocalLlmServerOptions options, TimeProvider time)
{
    /// <summary>Answers one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var engine = served.Require();
        using var body = await JsonBody.ReadAsync(context, options, time);
        var fields = new JsonFields(body.RootElement, new());
        var model = fields.Text("model");
        served.CheckModel(model);
        throw new ApiException(ApiError.Invalid($"The model '{engine.ModelName}' generates text and makes no embeddings; serve an embedding model, or call /v1/chat/completions.", "model", "model_not_supported"));
    }
}
