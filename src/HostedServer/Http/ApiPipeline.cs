using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Net.Http.Headers;

namespace LocalLlm.Server.Http;

/// <summary>What surrounds every route: the key, the request's id, and one place where failures become answers.</summary>
/// <param name="keys">Who may call.</param>
/// <param name="options">Whether ids are sent back.</param>
/// <param name="logger">Told of failures that no caller is to blame for.</param>
internal sealed partial class ApiPipeline(ApiKeys keys, LocalLlmServerOptions options, ILogger<ApiPipeline> logger)
{
    private const string RetryAfterSeconds = "1";
    private const int MaxRequestIdLength = 128;
    private static readonly object RequestIdKey = new();

    /// <summary>A route that asks for the key.</summary>
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

    /// <summary>The request's id: the client's own (<c>X-Request-Id</c>) where it is one, else a new one.</summary>
    /// <param name="context">The request.</param>
    /// <param name="given">What its body names, which goes before its header.</param>
    public static string RequestId(HttpContext context, string? given = null) =>
        given is not null && IsId(given) ? given : (string)(context.Items[RequestIdKey] ??= context.Request.Headers["X-Request-Id"] is [{ } header] && IsId(header) ? header : Guid.NewGuid().ToString("N"));

    /// <summary>Answers with an error, unless an answer has begun.</summary>
    public static async Task WriteAsync(HttpContext context, ApiError error)
    {
        if (context.Response.HasStarted || context.RequestAborted.IsCancellationRequested)
            return;
        context.Response.StatusCode = error.Status;
        if (error.IsTemporary)
            context.Response.Headers.RetryAfter = RetryAfterSeconds;
        await WriteJsonAsync(context, error.ToJson());
    }

    /// <summary>Answers with JSON.</summary>
    public static Task WriteJsonAsync(HttpContext context, byte[] utf8)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = utf8.Length;
        // Answers belong to one caller.
        context.Response.Headers[HeaderNames.CacheControl] = "no-store";
        return HttpMethods.IsHead(context.Request.Method) ? Task.CompletedTask : WriteBytesAsync(context, utf8);
    }

    // A client that does not read is dropped, as from a stream.
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
            // The client has left; nobody reads an answer.
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

    /// <summary>What a failure tells the client. One that no client is to blame for is logged, under the id that the response has.</summary>
    public ApiError Explain(HttpContext context, Exception failure)
    {
        var error = ApiError.Of(failure);
        if (error.Status < StatusCodes.Status500InternalServerError || error.IsTemporary)
            return error;
        var requestId = RequestId(context);
        LogFailed(context.Request.Path, requestId, failure);
        return error.WithId(requestId);
    }

    // A client may leave at any moment; that it does not wait for its error is no fault of the server's.
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

/// <summary>Marks the route of the page, which a browser opens.</summary>
internal sealed class PageMetadata;
