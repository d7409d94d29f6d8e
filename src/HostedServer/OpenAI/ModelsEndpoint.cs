using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>.</summary>
internal sealed class ModelsEndpoint(ServedEngine served)
{
    /// <summary>All names of the model.</summary>
    public Task ListAsync(HttpContext context)
    {
        var engine = served.Require();
        return ApiPipeline.WriteJsonAsync(context, EventStream.Json(new([.. served.Names.Select(name => Card(engine, name))]), WireJson.Wire.ModelList));
    }

    /// <summary>One name of it.</summary>
    public Task GetAsync(HttpContext context)
    {
        var engine = served.Require();
        // Clients escape the slash of a hub's names.
        var name = ((string?)context.Request.RouteValues["id"] ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        served.CheckModel(name.Length == 0 ? "(no name)" : name);
        return ApiPipeline.WriteJsonAsync(context, EventStream.Json(Card(engine, name), WireJson.Wire.ModelCard));
    }

    private ModelCard Card(LlmEngine engine, string name) => new(name, served.Created, served.Names[0], engine.MaxModelLen);
}
