using LocalLlm.Server.Http;
using LocalLlm.Server.Metrics;
using LocalLlm.Server.OpenAI;
using LocalLlm.Server.Page;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.AspNetCore.Builder;

/// <summary>
/// Maps the routes of the server. The returned groups accept the host's own conventions: <c>RequireAuthorization</c>,
/// <c>RequireRateLimiting</c>, <c>RequireCors</c>, <c>AddEndpointFilter</c>, <c>WithTags</c>.
/// </summary>
public static class LocalLlmEndpointRouteBuilderExtensions
{
    private const string OpenAITag = "OpenAI";
    private const string OperationsTag = "LocalLlm";
    private const string OpenAISchema = "https://platform.openai.com/docs/api-reference";
    private const string RerankSchema = "https://docs.cohere.com/reference/rerank";
    private const string VllmSchema = "https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html";
    private const string RerankSummary = "Orders documents by how well they answer a query.";
    private const string ScoreSummary = "Scores pairs of texts.";

    // Error statuses of every route that takes a body.
    private static readonly int[] Errors =
    [
        StatusCodes.Status400BadRequest, StatusCodes.Status401Unauthorized, StatusCodes.Status404NotFound,
        StatusCodes.Status413PayloadTooLarge, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status429TooManyRequests,
        StatusCodes.Status500InternalServerError, StatusCodes.Status503ServiceUnavailable,
    ];

    private static readonly int[] LookupErrors =
        [StatusCodes.Status401Unauthorized, StatusCodes.Status404NotFound, StatusCodes.Status503ServiceUnavailable];

    /// <summary>
    /// Maps OpenAI's routes below <paramref name="prefix"/>: <c>chat/completions</c>, <c>completions</c>, <c>embeddings</c>, <c>rerank</c>,
    /// <c>score</c>, <c>models</c>, <c>models/{id}</c>. All of them require a key if
    /// <see cref="LocalLlm.Server.LocalLlmServerOptions.ApiKeys"/> has any. A host with its own authentication leaves it empty and calls
    /// <c>RequireAuthorization</c>.
    /// </summary>
    /// <param name="endpoints">Where to map.</param>
    /// <param name="prefix">The prefix of the routes.</param>
    /// <returns>The routes as a group, for the host's conventions.</returns>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static RouteGroupBuilder MapLocalLlmOpenAI(this IEndpointRouteBuilder endpoints, string prefix = "/v1")
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        ArgumentNullException.ThrowIfNull(prefix);
        var routes = new Routes(endpoints, prefix, OpenAITag);
        routes.Post<ChatEndpoint>(
            "/chat/completions", chat => chat.HandleAsync, "Generates a chat response, complete or as a stream of events.", OpenAISchema, "createChatCompletion", streams: true);
        routes.Post<CompletionEndpoint>(
            "/completions", completion => completion.HandleAsync, "Continues a text, whole or as a stream of events.", OpenAISchema, "createCompletion", streams: true);
        routes.Post<EmbeddingEndpoint>("/embeddings", embedding => embedding.HandleAsync, "Embeds texts.", OpenAISchema, "createEmbedding");
        routes.Post<RerankEndpoint>("/rerank", rerank => rerank.HandleAsync, RerankSummary, RerankSchema, "createRerank");
        routes.Post<ScoreEndpoint>("/score", score => score.HandleAsync, ScoreSummary, VllmSchema, "createScore");
        routes.Get<ModelsEndpoint>("/models", models => models.ListAsync, "Lists the models that are served.", OpenAISchema, "listModels");
        // Names of hub models have a slash.
        routes.Get<ModelsEndpoint>("/models/{**id}", models => models.GetAsync, "Describes a model.", OpenAISchema, "retrieveModel");
        return routes.Group;
    }

    /// <summary>
    /// Maps the routes outside of OpenAI's API. <c>/rerank</c>, <c>/v2/rerank</c>, <c>/score</c>, <c>/tokenize</c>, <c>/detokenize</c>,
    /// <c>/metrics</c>, <c>/version</c>, <c>/ping</c>, <c>/load</c> and <c>/engine</c> require the key; <c>/health</c> and <c>/ready</c> do
    /// not.
    /// </summary>
    /// <param name="endpoints">Where to map.</param>
    /// <returns>The routes as a group, for the host's conventions.</returns>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static RouteGroupBuilder MapLocalLlmOperations(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var routes = new Routes(endpoints, "", OperationsTag);
        foreach (var route in (string[])["/rerank", "/v2/rerank"])
            routes.Post<RerankEndpoint>(route, rerank => rerank.HandleAsync, RerankSummary, RerankSchema);
        routes.Post<ScoreEndpoint>("/score", score => score.HandleAsync, ScoreSummary, VllmSchema);
        routes.Post<TokenizeEndpoint>("/tokenize", tokens => tokens.TokenizeAsync, "Turns a text or a chat into token ids.", VllmSchema, "tokenize");
        routes.Post<TokenizeEndpoint>("/detokenize", tokens => tokens.DetokenizeAsync, "Turns token ids into text.", VllmSchema, "detokenize");
        // Each HTTP method of a route is an operation, and operations must not share an id: these have no id.
        routes.Open("/health", operations => operations.HealthAsync, "200 while the process is of use, 503 once only a restart helps.");
        routes.Open("/ready", operations => operations.ReadyAsync, "200 where a request would be answered now.")
            .GivesJson(errors: [StatusCodes.Status503ServiceUnavailable]);
        routes.Map("/ping", ["GET", "POST"], operations => operations.HealthAsync, "As /health, with the key.");
        routes.Map("/metrics", ["GET"], operations => operations.MetricsAsync, "The engine's figures in Prometheus's text format.");
        routes.Get<OperationsEndpoints>("/load", operations => operations.LoadAsync, "The number of requests being served.");
        routes.Get<OperationsEndpoints>("/version", _ => OperationsEndpoints.VersionAsync, "The server's version.");
        routes.Get<OperationsEndpoints>("/engine", operations => operations.EngineAsync, "What the engine is doing now.");
        return routes.Group;
    }

    /// <summary>
    /// Maps the page at <c>/</c>: a chat, and a live view of the engine. The page uses the routes of the other two methods. The browser
    /// asks its user for the key as a password.
    /// </summary>
    /// <param name="endpoints">Where to map.</param>
    /// <returns>The routes as a group, for the host's conventions.</returns>
    /// <exception cref="InvalidOperationException"><c>AddLocalLlmServer</c> was not called.</exception>
    public static RouteGroupBuilder MapLocalLlmPage(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var routes = new Routes(endpoints, "", OperationsTag);
        foreach (var asset in PageAssets.All)
            routes.Group.MapGet(asset.Route, routes.Pipeline.Guarded(asset.WriteAsync)).WithMetadata(new PageMetadata());
        return routes.Group;
    }

    /// <summary>Builds a group of routes.</summary>
    private sealed class Routes
    {
        private readonly IServiceProvider _services;
        private readonly string _tag;

        public Routes(IEndpointRouteBuilder endpoints, string prefix, string tag)
        {
            (_services, _tag) = (endpoints.ServiceProvider, tag);
            Pipeline = _services.GetService<ApiPipeline>()
                ?? throw new InvalidOperationException("The server is not registered; call services.AddLocalLlmServer() first.");
            // Measuring starts here, not at the first scrape.
            _services.GetRequiredService<EngineInstruments>();
            Group = endpoints.MapGroup(prefix);
        }

        public RouteGroupBuilder Group { get; }

        public ApiPipeline Pipeline { get; }

        public void Post<T>(
            string route, Func<T, Func<HttpContext, Task>> method, string summary, string schema, string? name = null, bool streams = false)
            where T : notnull
        {
            var handler = method(_services.GetRequiredService<T>());
            var endpoint = Group.MapPost(route, Pipeline.Guarded(handler));
            Name(endpoint.Describe(handler, _tag, summary, schema).TakesJson().GivesJson(streams, Errors), name);
        }

        public void Get<T>(string route, Func<T, Func<HttpContext, Task>> method, string summary, string? schema = null, string? name = null)
            where T : notnull
        {
            var handler = method(_services.GetRequiredService<T>());
            var endpoint = Group.MapGet(route, Pipeline.Guarded(handler));
            Name(endpoint.Describe(handler, _tag, summary, schema).GivesJson(errors: LookupErrors), name);
        }

        public void Map(string route, string[] methods, Func<OperationsEndpoints, Func<HttpContext, Task>> method, string summary)
        {
            var handler = method(_services.GetRequiredService<OperationsEndpoints>());
            Group.MapMethods(route, methods, Pipeline.Guarded(handler)).Describe(handler, _tag, summary);
        }

        public IEndpointConventionBuilder Open(string route, Func<OperationsEndpoints, Func<HttpContext, Task>> method, string summary)
        {
            var handler = method(_services.GetRequiredService<OperationsEndpoints>());
            return Group.MapMethods(route, ["GET", "HEAD"], Pipeline.Open(handler)).Describe(handler, _tag, summary);
        }

        private void Name(IEndpointConventionBuilder endpoint, string? name)
        {
            if (name is not null)
                _services.GetRequiredService<OperationIds>().Name(endpoint, name);
        }
    }
}
