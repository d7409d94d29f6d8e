using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;
using System.Text.Unicode;
using LocalLlm.Requests;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Net.Http.Headers;

namespace LocalLlm.Server.Http;

/// <summary>
/// Reads a request's body as one validated JSON object: UTF-8, within the limits, no duplicate members, no unpaired surrogates.
/// </summary>
internal static class JsonBody
{
    // Real requests nest some ten levels (JSON schemas of tools).
    private const int MaxDepth = 64;
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = MaxDepth };

    /// <summary>Reads the whole body; the caller disposes the document.</summary>
    /// <exception cref="ApiException">400, 408, 413, 415, or 429 if too many large bodies arrive at once.</exception>
    public static async Task<JsonDocument> ReadAsync(HttpContext context, LocalLlmServerOptions limits, TimeProvider time)
    {
        CheckHeaders(context.Request, limits.MaxRequestBodyBytes);
        var budget = context.RequestServices.GetRequiredService<BodyBudget>();
        var reader = context.Request.BodyReader;
        var taken = 0L;
        // Cancelling a read by a token would leave the reader inside the read; CancelPendingRead does not.
        await using var timer = time.CreateTimer(_ => reader.CancelPendingRead(), null, limits.RequestBodyTimeout, Timeout.InfiniteTimeSpan);
        try
        {
            while (true)
            {
                var read = await ReadPartAsync(context, reader);
                if (read.IsCanceled)
                    throw Refused(read, new(new(StatusCodes.Status408RequestTimeout, "invalid_request_error", $"The body did not arrive within {limits.RequestBodyTimeout.TotalSeconds:F0} seconds.")));
                if (read.Buffer.Length > limits.MaxRequestBodyBytes)
                    throw Refused(read, TooLarge(limits.MaxRequestBodyBytes));
                if (read.Buffer.Length > taken)
                {
                    Take(read);
                    taken = read.Buffer.Length;
                }

                if (!read.IsCompleted)
                {
                    reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                    continue;
                }

                var utf8 = read.Buffer.ToArray();
                reader.AdvanceTo(read.Buffer.End);
                // What follows may take a while (tokenizing a long text), and other connections need this thread.
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                return Parse(utf8);
            }
        }
        finally
        {
            budget.Release(taken);
        }

        ApiException Refused(ReadResult read, ApiException refusal)
        {
            reader.AdvanceTo(read.Buffer.End);
            return refusal;
        }

        void Take(ReadResult read)
        {
            try
            {
                budget.Take(read.Buffer.Length - taken);
            }
            catch (ApiException refusal)
            {
                throw Refused(read, refusal);
            }
        }
    }

    /// <summary>Parses and validates a body.</summary>
    /// <exception cref="ApiException">400.</exception>
    internal static JsonDocument Parse(ReadOnlyMemory<byte> utf8)
    {
        if (utf8.Span.StartsWith("\uFEFF"u8))
            utf8 = utf8[3..];
        if (utf8.Span.IndexOfAnyExcept(" \t\r\n"u8) < 0)
            throw Bad("The body is empty; send a JSON object.");
        // The JSON reader validates only the strings that are read.
        if (!Utf8.IsValid(utf8.Span))
            throw Bad("The body is not valid UTF-8.");
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(utf8, Options);
        }
        catch (JsonException failure)
        {
            throw Bad($"The body is not valid JSON, or nests deeper than {MaxDepth} levels (line {(failure.LineNumber ?? 0) + 1}, byte {failure.BytePositionInLine ?? 0}).");
        }

        try
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw Bad($"The body is a JSON {document.RootElement.ValueKind.ToString().ToLowerInvariant()}; send an object.");
            JsonMembers.Check(document.RootElement);
            return document;
        }
        catch
        {
            document.Dispose();
            throw;
        }
    }

    // Kestrel reports an unreadable body by exceptions of several types, such as an overflow or a lost connection. The client causes all of
    // them.
    private static async ValueTask<ReadResult> ReadPartAsync(HttpContext context, PipeReader reader)
    {
        try
        {
            return await reader.ReadAsync();
        }
        catch (Exception failure) when (failure is not (OutOfMemoryException or BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge or StatusCodes.Status408RequestTimeout }))
        {
            // It is unknown where such a body ends and the next request begins.
            if (!context.Response.HasStarted && HttpProtocol.IsHttp11(context.Request.Protocol))
                context.Response.Headers.Connection = "close";
            throw new ApiException(ApiError.UnreadableBody);
        }
    }

    private static void CheckHeaders(HttpRequest request, long most)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase))
            throw Unsupported("Content-Type", $"The body's type is {(request.ContentType is { Length: > 0 } given ? $"'{RequestErrors.Printable(given)}'" : "not named")}; send Content-Type: application/json.");
        if (type.Charset.HasValue && !type.Charset.Value.Trim('"').Equals("utf-8", StringComparison.OrdinalIgnoreCase))
            throw Unsupported("Content-Type", $"The body's charset is '{RequestErrors.Printable(type.Charset.Value)}'; send UTF-8.");
        if (request.Headers.ContentEncoding is { Count: > 0 } encoding && !encoding.ToString().Equals("identity", StringComparison.OrdinalIgnoreCase))
            throw Unsupported("Content-Encoding", $"The body's encoding is '{RequestErrors.Printable(encoding.ToString())}'; send the body uncompressed.");
        // With two lengths for one body, a proxy and this server could read different requests. (Kestrel keeps the length that it ignores
        // under another name.)
        if (request.Headers.TransferEncoding.Count > 0 && (request.ContentLength is not null || request.Headers.ContainsKey("X-Content-Length")))
            throw Bad("The request has both Content-Length and Transfer-Encoding; send one of them.");
        if (request.Headers.TransferEncoding is { Count: > 0 } coding && !coding.ToString().Trim().Equals("chunked", StringComparison.OrdinalIgnoreCase))
            throw new ApiException(ApiError.Invalid($"The body's transfer coding is '{RequestErrors.Printable(coding.ToString())}'; send Content-Length, or Transfer-Encoding: chunked.", "Transfer-Encoding"));
        if (request.ContentLength > most)
            throw TooLarge(most);
    }

    private static ApiException Bad(string message) => new(ApiError.Invalid(message, code: null));

    private static ApiException Unsupported(string header, string message) => new(new(StatusCodes.Status415UnsupportedMediaType, "invalid_request_error", message, header));

    private static ApiException TooLarge(long most) =>
        new(new(StatusCodes.Status413PayloadTooLarge, "invalid_request_error", $"The body is larger than {most} bytes, the server's limit.", Code: "request_too_large"));
}
