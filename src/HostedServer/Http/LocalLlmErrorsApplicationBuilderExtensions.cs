using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Gives the framework's errors OpenAI's format.</summary>
public static partial class LocalLlmErrorsApplicationBuilderExtensions
{
    /// <summary>
    /// Adds the body <c>{"error": {message, type, param, code}}</c> to requests that the framework refuses without a body (an unknown
    /// route, a wrong method, a policy of the host) and to exceptions outside of a route. For an application that serves little else;
    /// errors of the server's own routes always have this format.
    /// </summary>
    /// <param name="app">The application; call it before <c>UseRouting</c>, authentication and rate limits.</param>
    public static IApplicationBuilder UseLocalLlmErrors(this IApplicationBuilder app)
    {
        ArgumentNullException.ThrowIfNull(app);
        return app.Use(ExplainAsync);
    }

    private static async Task ExplainAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context);
        }
        catch (Exception failure) when (!context.RequestAborted.IsCancellationRequested)
        {
            var loggers = context.RequestServices.GetRequiredService<ILoggerFactory>();
            var logger = loggers.CreateLogger(typeof(LocalLlmErrorsApplicationBuilderExtensions));
            LogUnexpected(logger, context.Request.Path, ApiPipeline.RequestId(context), failure);
            if (context.Response.HasStarted)
                context.Abort();
            else
                context.Response.StatusCode = StatusCodes.Status500InternalServerError;
        }

        if (context.Response is { HasStarted: false, StatusCode: >= StatusCodes.Status400BadRequest, ContentType: null, ContentLength: null })
            await ApiPipeline.WriteAsync(context, ApiError.OfStatus(context.Response.StatusCode).WithId(ApiPipeline.RequestId(context)));
    }

    [LoggerMessage(1, LogLevel.Error, "A request of {Path} failed outside of its route ({RequestId}).")]
    private static partial void LogUnexpected(ILogger logger, string path, string requestId, Exception failure);
}
