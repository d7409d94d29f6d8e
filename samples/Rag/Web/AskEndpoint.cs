using System.Text.Json;
using LocalLlm.Samples.Rag.Agent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Samples.Rag.Web;

/// <summary>
/// <c>POST /api/ask {"question": "…"}</c> sends server-sent events <c>found</c>, <c>thought</c>, <c>text</c>, and at the end <c>done</c> or
/// <c>error</c>. If the client disconnects, the engine stops generating.
/// </summary>
internal static partial class AskEndpoint
{
    private const int MaxBodyBytes = 32 << 10;

    public static void MapAsk(this IEndpointRouteBuilder routes) => routes.MapPost("/api/ask", async (HttpContext context, DocumentAgent agent, AskGate gate, ILogger<DocumentAgent> logger) =>
    {
        string question;
        try
        {
            question = await QuestionOfAsync(context);
        }
        catch (RagException failure)
        {
            await SiteGuard.RefuseAsync(context, failure.InnerException is BadHttpRequestException tooLarge ? tooLarge.StatusCode : StatusCodes.Status400BadRequest, failure.Message);
            return;
        }

        if (!gate.TryEnter())
        {
            context.Response.Headers.RetryAfter = "1";
            await SiteGuard.RefuseAsync(context, StatusCodes.Status429TooManyRequests, $"{AskGate.MaxAtOnce} questions are being answered, and no more are allowed at once; ask again later");
            return;
        }

        try
        {
            await AnswerAsync(context, agent, question, logger);
        }
        finally
        {
            gate.Leave();
        }
    });

    /// <exception cref="RagException">The body is not JSON with a valid question.</exception>
    private static async Task<string> QuestionOfAsync(HttpContext context)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            limit.MaxRequestBodySize = MaxBodyBytes;
        // A page of another site cannot send JSON without a preflight request, even if its browser sends no origin.
        if (!context.Request.HasJsonContentType())
            throw new RagException($"the content type is '{context.Request.ContentType}'; send application/json");
        try
        {
            using var body = await JsonDocument.ParseAsync(context.Request.Body, new() { AllowDuplicateProperties = false }, context.RequestAborted);
            if (body.RootElement.ValueKind != JsonValueKind.Object || !body.RootElement.TryGetProperty("question", out var question) || question.ValueKind != JsonValueKind.String)
                throw new RagException("the body has no string 'question'; send {\"question\": \"…\"}");
            var text = question.GetString();
            QuestionText.Check(text);
            return text!;
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            throw new RagException($"the body is no JSON in UTF-8 with each key once: {failure.Message}", failure);
        }
        catch (BadHttpRequestException failure)
        {
            throw new RagException($"the body cannot be read: {failure.Message.TrimEnd('.')}; allowed: {MaxBodyBytes} bytes", failure);
        }
    }

    private static async Task AnswerAsync(HttpContext context, DocumentAgent agent, string question, ILogger logger)
    {
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        try
        {
            await foreach (var happened in agent.AskAsync(question, cancellationToken: context.RequestAborted))
                await WriteAsync(context, WireAnswer.Of(happened));
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has disconnected.
        }
        catch (Exception failure) when (failure is RagException or EngineException)
        {
            await WriteAsync(context, ("error", failure.Message));
        }
        catch (Exception failure)
        {
            LogFailure(logger, failure);
            await WriteAsync(context, ("error", "The answer failed; the log says why."));
        }
    }

    private static async Task WriteAsync(HttpContext context, (string Name, object Data) happened)
    {
        // JSON escapes line feeds, so an event's data is always one line.
        await context.Response.WriteAsync($"event: {happened.Name}\ndata: {JsonSerializer.Serialize(happened.Data, JsonSerializerOptions.Web)}\n\n", context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "A question was not answered.")]
    private static partial void LogFailure(ILogger logger, Exception failure);
}
