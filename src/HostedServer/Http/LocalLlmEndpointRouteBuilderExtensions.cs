using LocalLlm.Server.Http;
using LocalLlm.Server.Metrics;
using LocalLlm.Server.OpenAI;
using LocalLlm.Server.Page;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Maps the routes of the server.</summary>
public static class LocalLlmEndpointRouteBuilderExtensions
{
    /// <summary>
    /// Maps OpenAI's routes below <paramref name="prefix"/>: <c>chat/completions</c>, <c>completions</c>, <c>embeddings</c>, <c>rerank</c>, <c>score</c>, <c>models</c>, <c>models/{id}</c>. All of them ask for a key where
    /// <see cref="LocalLlm.Server.LocalLlmServerOptions.ApiKeys"/> has any.
    /// </summary>
    /// <param name="endpoints">Where to map.</param>
    /// <param name="prefix">What the routes begin with.</param>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static IEndpointConventionBuilder MapLocalLlmOpenAI(this IEndpointRouteBuilder endpoints, string prefix = "/v1")
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        ArgumentNullException.ThrowIfNull(prefix);
        var (services, pipeline) = ServicesOf(endpoints);
        var group = endpoints.MapGroup(prefix);
        group.MapPost("/chat/completions", pipeline.Guarded(services.GetRequiredService<ChatEndpoint>().HandleAsync));
        group.MapPost("/completions", pipeline.Guarded(services.GetRequiredService<CompletionEndpoint>().HandleAsync));
        group.MapPost("/embeddings", pipeline.Guarded(services.GetRequiredService<EmbeddingEndpoint>().HandleAsync));
        group.MapPost("/rerank", pipeline.Guarded(services.GetRequiredService<RerankEndpoint>().HandleAsync));
        group.MapPost("/score", pipeline.Guarded(services.GetRequiredService<ScoreEndpoint>().HandleAsync));
        var models = services.GetRequiredService<ModelsEndpoint>();
        group.MapGet("/models", pipeline.Guarded(models.ListAsync));
        // Names of hub models have a slash.
        group.MapGet("/models/{**id}", pipeline.Guarded(models.GetAsync));
        return group;
    }

    /// <summary>Maps what stands beside OpenAI's routes: <c>/rerank</c>, <c>/v2/rerank</c>, <c>/score</c>, <c>/tokenize</c>, <c>/detokenize</c>, <c>/metrics</c>, <c>/version</c>, <c>/ping</c>, <c>/load</c>, <c>/engine</c>, which ask for the key, and <c>/health</c> and <c>/ready</c>, which do not.</summary>
    /// <param name="endpoints">Where to map.</param>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static IEndpointConventionBuilder MapLocalLlmOperations(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var (services, pipeline) = ServicesOf(endpoints);
        var group = endpoints.MapGroup("");
        foreach (var route in (string[])["/rerank", "/v2/rerank"])
            group.MapPost(route, pipeline.Guarded(services.GetRequiredService<RerankEndpoint>().HandleAsync));
        group.MapPost("/score", pipeline.Guarded(services.GetRequiredService<ScoreEndpoint>().HandleAsync));
        var tokens = services.GetRequiredService<TokenizeEndpoint>();
        group.MapPost("/tokenize", pipeline.Guarded(tokens.TokenizeAsync));
        group.MapPost("/detokenize", pipeline.Guarded(tokens.DetokenizeAsync));
        var operations = services.GetRequiredService<OperationsEndpoints>();
        group.MapMethods("/health", ["GET", "HEAD"], pipeline.Open(operations.HealthAsync));
        group.MapMethods("/ready", ["GET", "HEAD"], pipeline.Open(operations.ReadyAsync));
        group.MapGet("/metrics", pipeline.Guarded(operations.MetricsAsync));
        group.MapMethods("/ping", ["GET", "POST"], pipeline.Guarded(operations.HealthAsync));
        group.MapGet("/load", pipeline.Guarded(operations.LoadAsync));
        group.MapGet("/version", pipeline.Guarded(OperationsEndpoints.VersionAsync));
        group.MapGet("/engine", pipeline.Guarded(operations.EngineAsync));
        return group;
    }

    /// <summary>Maps the page at <c>/</c>: a chat, and a live view of the engine. It uses the routes of the other two methods; a browser asks its user for the key as a password.</summary>
    /// <param name="endpoints">Where to map.</param>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static IEndpointConventionBuilder MapLocalLlmPage(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var (_, pipeline) = ServicesOf(endpoints);
        var group = endpoints.MapGroup("").WithMetadata(new PageMetadata());
        foreach (var asset in PageAssets.All)
            group.MapGet(asset.Route, pipeline.Guarded(asset.WriteAsync));
        return group;
    }

    private static (IServiceProvider Services, ApiPipeline Pipeline) ServicesOf(IEndpointRouteBuilder endpoints)
    {
        var services = endpoints.ServiceProvider;
        var pipeline = services.GetService<ApiPipeline>() ?? throw new InvalidOperationException("The server is not registered; call services.AddLocalLlmServer() first.");
        // Measures from here on, not from the first look.
        services.GetRequiredService<EngineInstruments>();
        return (services, pipeline);
    }
}
