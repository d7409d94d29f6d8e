using LocalLlm.Server.Http;
using LocalLlm.Server.Metrics;
using LocalLlm.Server.OpenAI;
using LocalLlm.Server.Page;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.AspNetCore.Builder;

/// <summary>
/// Maps the routes of the server. What is returned takes the host's own conventions: <c>RequireAuthorization</c>,
/// <c>RequireRateLimiting</c>, <c>RequireCors</c>, <c>AddEndpointFilter</c>, <c>WithTags</c>.
/// </summary>
public static class LocalLlmEndpointRouteBuilderExtensions
{
    private const string OpenAITag = "OpenAI";
    private const string OperationsTag = "LocalLlm";
    private const string OpenAISchema = "https://platform.openai.com/docs/api-reference";
    private const string RerankSchema = "https://docs.cohere.com/reference/rerank";
    private const string VllmSchema = "https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html";

    // What every route that asks for a model may answer with.
    private static readonly int[] Errors =
    [
        StatusCodes.Status400BadRequest, StatusCodes.Status401Unauthorized, StatusCodes.Status404NotFound, StatusCodes.Status413PayloadTooLarge, StatusCodes.Status415UnsupportedMediaType,
        StatusCodes.Status429TooManyRequests, StatusCodes.Status500InternalServerError, StatusCodes.Status503ServiceUnavailable,
    ];

    private static readonly int[] LookupErrors = [StatusCodes.Status401Unauthorized, StatusCodes.Status404NotFound, StatusCodes.Status503ServiceUnavailable];

    /// <summary>
    /// Maps OpenAI's routes below <paramref name="prefix"/>: <c>chat/completions</c>, <c>completions</c>, <c>embeddings</c>, <c>rerank</c>, <c>score</c>, <c>models</c>, <c>models/{id}</c>. All of them ask for a key where
    /// <see cref="LocalLlm.Server.LocalLlmServerOptions.ApiKeys"/> has any; a host that has its own authentication leaves it empty and says <c>RequireAuthorization</c>.
    /// </summary>
    /// <param name="endpoints">Where to map.</param>
    /// <param name="prefix">What the routes begin with.</param>
    /// <returns>The routes as a group, for the host's conventions.</returns>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static RouteGroupBuilder MapLocalLlmOpenAI(this IEndpointRouteBuilder endpoints, string prefix = "/v1")
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        ArgumentNullException.ThrowIfNull(prefix);
        var (services, pipeline) = ServicesOf(endpoints);
        var group = endpoints.MapGroup(prefix);
        Post("/chat/completions", services.GetRequiredService<ChatEndpoint>().HandleAsync, "createChatCompletion", "Answers a chat, whole or as a stream of events.", OpenAISchema, streams: true);
        Post("/completions", services.GetRequiredService<CompletionEndpoint>().HandleAsync, "createCompletion", "Continues a text, whole or as a stream of events.", OpenAISchema, streams: true);
        Post("/embeddings", services.GetRequiredService<EmbeddingEndpoint>().HandleAsync, "createEmbedding", "Embeds texts.", OpenAISchema);
        Post("/rerank", services.GetRequiredService<RerankEndpoint>().HandleAsync, "createRerank", "Orders documents by how well they answer a query.", RerankSchema);
        Post("/score", services.GetRequiredService<ScoreEndpoint>().HandleAsync, "createScore", "Scores pairs of texts.", VllmSchema);
        var models = services.GetRequiredService<ModelsEndpoint>();
        Get("/models", models.ListAsync, "listModels", "Lists the models that are served.");
        // Names of hub models have a slash.
        Get("/models/{**id}", models.GetAsync, "retrieveModel", "Describes a model.");
        return group;

        void Post(string route, Func<HttpContext, Task> handler, string name, string summary, string schema, bool streams = false) =>
            group.MapPost(route, pipeline.Guarded(handler)).Describe(handler, name, OpenAITag, summary, schema).TakesJson().GivesJson(streams, Errors);

        void Get(string route, Func<HttpContext, Task> handler, string name, string summary) =>
            group.MapGet(route, pipeline.Guarded(handler)).Describe(handler, name, OpenAITag, summary, OpenAISchema).GivesJson(errors: LookupErrors);
    }

    /// <summary>Maps what stands beside OpenAI's routes: <c>/rerank</c>, <c>/v2/rerank</c>, <c>/score</c>, <c>/tokenize</c>, <c>/detokenize</c>, <c>/metrics</c>, <c>/version</c>, <c>/ping</c>, <c>/load</c>, <c>/engine</c>, which ask for the key, and <c>/health</c> and <c>/ready</c>, which do not.</summary>
    /// <param name="endpoints">Where to map.</param>
    /// <returns>The routes as a group, for the host's conventions.</returns>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static RouteGroupBuilder MapLocalLlmOperations(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var (services, pipeline) = ServicesOf(endpoints);
        var group = endpoints.MapGroup("");
        foreach (var route in (string[])["/rerank", "/v2/rerank"])
            Post(route, services.GetRequiredService<RerankEndpoint>().HandleAsync, null, "Orders documents by how well they answer a query.", RerankSchema);
        Post("/score", services.GetRequiredService<ScoreEndpoint>().HandleAsync, null, "Scores pairs of texts.", VllmSchema);
        var tokens = services.GetRequiredService<TokenizeEndpoint>();
        Post("/tokenize", tokens.TokenizeAsync, "tokenize", "Turns a text or a chat into token ids.", VllmSchema);
        Post("/detokenize", tokens.DetokenizeAsync, "detokenize", "Turns token ids into text.", VllmSchema);
        var operations = services.GetRequiredService<OperationsEndpoints>();
        // Two operations of one route must not share an id, so these have none.
        group.MapMethods("/health", ["GET", "HEAD"], pipeline.Open(operations.HealthAsync)).Describe(operations.HealthAsync, null, OperationsTag, "200 while the process is of use, 503 once only a restart helps.");
        group.MapMethods("/ready", ["GET", "HEAD"], pipeline.Open(operations.ReadyAsync)).Describe(operations.ReadyAsync, null, OperationsTag, "200 where a request would be answered now.")
            .GivesJson(errors: [StatusCodes.Status503ServiceUnavailable]);
        group.MapGet("/metrics", pipeline.Guarded(operations.MetricsAsync)).Describe(operations.MetricsAsync, "localLlmMetrics", OperationsTag, "The engine's figures in Prometheus's text format.");
        group.MapMethods("/ping", ["GET", "POST"], pipeline.Guarded(operations.HealthAsync)).Describe(operations.HealthAsync, null, OperationsTag, "As /health, with the key.");
        Get("/load", operations.LoadAsync, "localLlmLoad", "How many requests are being answered.");
        Get("/version", OperationsEndpoints.VersionAsync, "localLlmVersion", "The server's version.");
        Get("/engine", operations.EngineAsync, "localLlmEngine", "What the engine does at the moment.");
        return group;

        void Post(string route, Func<HttpContext, Task> handler, string? name, string summary, string schema) =>
            group.MapPost(route, pipeline.Guarded(handler)).Describe(handler, name, OperationsTag, summary, schema).TakesJson().GivesJson(errors: Errors);

        void Get(string route, Func<HttpContext, Task> handler, string name, string summary) =>
            group.MapGet(route, pipeline.Guarded(handler)).Describe(handler, name, OperationsTag, summary).GivesJson(errors: LookupErrors);
    }

    /// <summary>Maps the page at <c>/</c>: a chat, and a live view of the engine. It uses the routes of the other two methods; a browser asks its user for the key as a password.</summary>
    /// <param name="endpoints">Where to map.</param>
    /// <returns>The routes as a group, for the host's conventions.</returns>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static RouteGroupBuilder MapLocalLlmPage(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var (_, pipeline) = ServicesOf(endpoints);
        var group = endpoints.MapGroup("");
        foreach (var asset in PageAssets.All)
            group.MapGet(asset.Route, pipeline.Guarded(asset.WriteAsync)).WithMetadata(new PageMetadata());
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
