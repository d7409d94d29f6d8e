using System.Text.Json;
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
        var errors = new RequestErrors();
        var fields = new JsonFields(body.RootElement, errors);
        var model = fields.Text("model");
        if (fields.Take("input") is not { ValueKind: JsonValueKind.String or JsonValueKind.Array } input)
            errors.Add("input", fields.Take("input") is { } other ? other.ValueKind.ToString().ToLowerInvariant() : "nothing", "a text, a list of texts, a list of token ids, or a list of such lists");
        else if (input.ValueKind == JsonValueKind.Array && input.GetArrayLength() == 0)
            errors.Add("input", "an empty list", "at least one text");
        if (fields.Text("encoding_format") is { } format and not ("float" or "base64"))
            errors.Add("encoding_format", format, "float or base64");
        errors.ThrowIfAny();
        served.CheckModel(model);
        throw new ApiException(ApiError.Invalid($"The model '{engine.ModelName}' generates text and makes no embeddings; serve an embedding model, or call /v1/chat/completions.", "model", "model_not_supported"));
    }
}
