using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;

namespace LocalLlm.Server.Http;

/// <summary>
/// Describes endpoints for OpenAPI documents. Bodies are described only as JSON objects; links lead to their schemas, which are OpenAI's,
/// Cohere's and vLLM's own.
/// </summary>
internal static class RouteDescriptions
{
    private const string Json = "application/json";
    private const string EventStream = "text/event-stream";

    /// <summary>Describes a route.</summary>
    /// <param name="endpoint">The route.</param>
    /// <param name="handler">The route's handler; without it OpenAPI documents do not list the route.</param>
    /// <param name="tag">The tag that groups the route.</param>
    /// <param name="summary">What the route does.</param>
    /// <param name="schema">Link to the description of the bodies' schemas; null: none.</param>
    public static IEndpointConventionBuilder Describe(
        this IEndpointConventionBuilder endpoint, Func<HttpContext, Task> handler, string tag, string summary, string? schema = null)
    {
        endpoint.WithMetadata(handler.Method, new RouteSummary(summary), new RouteTags(tag));
        return schema is null ? endpoint : endpoint.WithMetadata(new RouteDescription($"Bodies: {schema}"));
    }

    /// <summary>Declares that the route takes a JSON object.</summary>
    public static IEndpointConventionBuilder TakesJson(this IEndpointConventionBuilder endpoint) =>
        endpoint.WithMetadata(new AcceptsMetadata([Json], typeof(JsonObject)));

    /// <summary>Declares that the route returns a JSON object, also for errors.</summary>
    /// <param name="endpoint">The route.</param>
    /// <param name="streams">Whether the response may also be a stream of events.</param>
    /// <param name="errors">Error statuses.</param>
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
