using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Net.Http.Headers;

namespace LocalLlm.Server.Http;

/// <summary>Wraps every route: checks the key, assigns the request's id, and turns failures into error responses.</summary>
/// <param name="keys">Who may call.</param>
/// <param name="options">Say whether responses carry the id.</param>
/// <param name="logger">Logs failures that the client did not cause.</param>
internal sealed partial class ApiPipeline(ApiKeys keys, LocalLlmServerOptions options, ILogger<ApiPipeline> logger)
{
    private const string RetryAfterSeconds = "1";
    private const int MaxRequestIdLength = 128;
    private static readonly object RequestIdKey = new();

    /// <summary>A route that requires the key.</summary>
    public RequestDelegate Guarded(Func<HttpContext, Task> handler) => context =>
    {
        if (keys.Admits(context.Request))
            return RunAsync(context, handler);
        var isPage = context.GetEndpoint()?.Metadata.GetMetadata<PageMetadata>() is not null;
        context.Response.Headers.WWWAuthenticate = isPage ? "Basic realm=\"LocalLlm: any name, and the API key as password\", charset=\"UTF-8\"" : "Bearer";
        return WriteIfReadAsync(context, new(StatusCodes.Status401Unauthorized, "authentication_error", "The API key is missing or wrong; send Authorization: Bearer KEY.", Code: "invalid_api_key"));
    };

    /// <summary>A route that anybody may call.</summary>
    public RequestDelegate Open(Func<HttpContext, Task> handler) => context => RunAsync(context, handler);

    /// <summary>The request's id: the client's own (<c>X-Request-Id</c>) if valid, else a new id.</summary>
    /// <param name="context">The request.</param>
    /// <param name="given">The id in the request's body, which overrides the header.</param>
    public static string RequestId(HttpContext context, string? given = null) =>
        given is not null && IsId(given) ? given : (string)(context.Items[RequestIdKey] ??= context.Request.Headers["X-Request-Id"] is [{ } header] && IsId(header) ? header : Guid.NewGuid().ToString("N"));

    /// <summary>Responds with an error, unless a response has begun.</summary>
    public static async Task WriteAsync(HttpContext context, ApiError error)
    {
        if (context.Response.HasStarted || context.RequestAborted.IsCancellationRequested)
            return;
        context.Response.StatusCode = error.Status;
        if (error.IsTemporary)
            context.Response.Headers.RetryAfter = RetryAfterSeconds;
        await WriteJsonAsync(context, error.ToJson());
    }

    /// <summary>Responds with JSON.</summary>
    public static Task WriteJsonAsync(HttpContext context, byte[] utf8)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = utf8.Length;
        // A response belongs to one caller.
        context.Response.Headers[HeaderNames.CacheControl] = "no-store";
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : WriteBytesAsync(context, utf8);
    }

    // A client that does not read is disconnected, as with a stream.
    private static async Task WriteBytesAsync(HttpContext context, ReadOnlyMemory<byte> utf8)
    {
        const int part = 1 << 16;
        var stall = context.RequestServices.GetRequiredService<LocalLlmServerOptions>().StallTimeout;
        await using var timer = context.RequestServices.GetRequiredService<TimeProvider>().CreateTimer(_ => context.Abort(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        for (; utf8.Length > 0; utf8 = utf8[Math.Min(part, utf8.Length)..])
        {
            timer.Change(stall, Timeout.InfiniteTimeSpan);
            await context.Response.Body.WriteAsync(utf8[..Math.Min(part, utf8.Length)], context.RequestAborted);
        }
    }

    private async Task RunAsync(HttpContext context, Func<HttpContext, Task> handler)
    {
        if (options.EnableRequestIdHeaders)
            context.Response.Headers["X-Request-Id"] = RequestId(context);
        try
        {
            await handler(context);
        }
        catch (Exception failure) when (failure is OperationCanceledException or IOException && context.RequestAborted.IsCancellationRequested)
        {
            // The client has left; no one reads the response.
        }
        catch (Exception failure)
        {
            var error = Explain(context, failure);
            if (context.Response.HasStarted)
                context.Abort();
            else
                await WriteIfReadAsync(context, error);
        }
    }

    /// <summary>
    /// The error that the client sees for a failure. A failure that the client did not cause is logged, under the id that the client
    /// receives.
    /// </summary>
    public ApiError Explain(HttpContext context, Exception failure)
    {
        var error = ApiError.Of(failure);
        if (error.Status < StatusCodes.Status500InternalServerError || error.IsTemporary)
            return error;
        var requestId = RequestId(context);
        LogFailed(context.Request.Path, requestId, failure);
        return error.WithId(requestId);
    }

    // A client may leave at any moment. Leaving before its error is written is not a server failure.
    private static async Task WriteIfReadAsync(HttpContext context, ApiError error)
    {
        try
        {
            await WriteAsync(context, error);
        }
        catch (Exception failure) when (failure is OperationCanceledException or IOException)
        {
            context.Abort();
        }
    }

    private static bool IsId(string text) => text.Length is > 0 and <= MaxRequestIdLength && text.All(character => char.IsAsciiLetterOrDigit(character) || character is '-' or '_' or '.');

    [LoggerMessage(1, LogLevel.Error, "A request of {Path} failed ({RequestId}).")]
    private partial void LogFailed(string path, string requestId, Exception failure);
}

/// <summary>Marks the route of the page for browsers.</summary>
internal sealed class PageMetadata;
