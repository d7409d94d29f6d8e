using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>.</summary>
internal sealed class ModelsEndpoint(ServedEngine served)
{
    /// <summary>Lists all names of all models.</summary>
    public Task ListAsync(HttpContext context)
    {
        served.RequireUsable();
        return ApiPipeline.WriteJsonAsync(context, EventStream.Json(new([.. Cards()]), WireJson.Wire.ModelList));
    }

    /// <summary>Describes the model of one name.</summary>
    public Task GetAsync(HttpContext context)
    {
        served.RequireUsable();
        // Clients escape the slash in names of hub models.
        var name = ((string?)context.Request.RouteValues["id"] ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        var cards = Cards().ToArray();
        if (Array.Find(cards, card => card.Id == name) is not { } found)
            throw new ApiException(ApiError.ModelNotFound(name.Length == 0 ? "(no name)" : name, cards.Select(card => card.Id)));
        return ApiPipeline.WriteJsonAsync(context, EventStream.Json(found, WireJson.Wire.ModelCard));
    }

    private IEnumerable<ModelCard> Cards() => served.Models.Select(model => new ModelCard(model.Name, served.Created, model.Root, model.MaxModelLen));
}
