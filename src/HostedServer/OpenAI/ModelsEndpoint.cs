using LocalLlm.Extensions.AI;
using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>.</summary>
internal sealed class ModelsEndpoint(ServedEngine served, IServiceProvider services)
{
    private readonly EmbeddingHost? _embeddings = services.GetService<EmbeddingHost>();

    /// <summary>All names of the model.</summary>
    public Task ListAsync(HttpContext context)
    {
        var engine = served.Require();
        return ApiPipeline.WriteJsonAsync(context, EventStream.Json(new([.. served.Names.Select(name => Card(engine, name)), .. Embedders()]), WireJson.Wire.ModelList));
    }

    /// <summary>One name of it.</summary>
    public Task GetAsync(HttpContext context)
    {
        var engine = served.Require();
        // Clients escape the slash of a hub's names.
        var name = ((string?)context.Request.RouteValues["id"] ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        if (Embedders().FirstOrDefault(card => card.Id == name) is { } embedder)
            return ApiPipeline.WriteJsonAsync(context, EventStream.Json(embedder, WireJson.Wire.ModelCard));
        served.CheckModel(name.Length == 0 ? "(no name)" : name);
        return ApiPipeline.WriteJsonAsync(context, EventStream.Json(Card(engine, name), WireJson.Wire.ModelCard));
    }

    private IEnumerable<ModelCard> Embedders() => _embeddings?.Loaded is { } engine ? [new(_embeddings.ModelId, served.Created, _embeddings.ModelId, engine.MaxModelLen)] : [];

    private ModelCard Card(LlmEngine engine, string name) => new(name, served.Created, served.Names[0], engine.MaxModelLen);
}
