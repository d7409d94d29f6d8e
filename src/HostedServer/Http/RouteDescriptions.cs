using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;

namespace LocalLlm.Server.Http;

/// <summary>
/// What endpoints say of themselves to OpenAPI documents. Bodies are described as JSON objects: their schemas are OpenAI's, Cohere's and
/// vLLM's own, which the links name.
/// </summary>
internal static class RouteDescriptions
{
    private const string Json = "application/json";
    private const string EventStream = "text/event-stream";

    /// <summary>Describes a route.</summary>
    /// <param name="endpoint">The route.</param>
    /// <param name="handler">Its handler, without which no document lists a route.</param>
    /// <param name="tag">What it is listed under.</param>
    /// <param name="summary">What it does.</param>
    /// <param name="schema">Where the bodies' schemas are described; null: nowhere.</param>
    public static IEndpointConventionBuilder Describe(
        this IEndpointConventionBuilder endpoint, Func<HttpContext, Task> handler, string tag, string summary, string? schema = null)
    {
        endpoint.WithMetadata(handler.Method, new RouteSummary(summary), new RouteTags(tag));
        return schema is null ? endpoint : endpoint.WithMetadata(new RouteDescription($"Bodies: {schema}"));
    }

    /// <summary>A route that takes a JSON object.</summary>
    public static IEndpointConventionBuilder TakesJson(this IEndpointConventionBuilder endpoint) =>
        endpoint.WithMetadata(new AcceptsMetadata([Json], typeof(JsonObject)));

    /// <summary>A route that gives a JSON object, and an error as one.</summary>
    /// <param name="endpoint">The route.</param>
    /// <param name="streams">Whether it may also be a stream of events.</param>
    /// <param name="errors">Statuses of errors.</param>
    public static IEndpointConventionBuilder GivesJson(this IEndpointConventionBuilder endpoint, bool streams = false, params int[] errors)
    {
        string[] types = streams ? [Json, EventStream] : [Json];
        endpoint.WithMetadata(new ProducesResponseTypeMetadata(StatusCodes.Status200OK, typeof(JsonObject), types));
        foreach (var status in errors)
            endpoint.WithMetadata(new ProducesResponseTypeMetadata(status, typeof(ErrorBody), [Json]));
        return endpoint;
    }

    private sealed record RouteSummary(string Summary) : IEndpointSummaryMetadata;

    private sealed record RouteDescription(string Description) : IEndpointDescriptionMetadata;

    private sealed record RouteTags(string Tag) : ITagsMetadata
    {
        public IReadOnlyList<string> Tags => [Tag];
    }
}
