using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Tokenizers;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.Http;

/// <summary>An error in OpenAI's format: <c>{"error": {message, type, param, code}}</c> and a status.</summary>
/// <param name="Status">The HTTP status.</param>
/// <param name="Type">The cause: <c>invalid_request_error</c>, <c>authentication_error</c>, <c>rate_limit_error</c>,
/// <c>server_error</c>.</param>
/// <param name="Message">What was found, what is allowed, what to do. Never a path, a type or an address.</param>
/// <param name="Param">The faulty field, or null.</param>
/// <param name="Code">The error code for programs, or null.</param>
internal sealed record ApiError(int Status, string Type, string Message, string? Param = null, string? Code = null)
{
    private const string Unexplained = "The server failed to respond; its log says why";

    /// <summary>Whether the same request may succeed later; the response then says when to retry.</summary>
    public bool IsTemporary => Status is StatusCodes.Status429TooManyRequests or StatusCodes.Status503ServiceUnavailable;

    /// <summary>The body.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(new ErrorBody(new(Message, Type, Param, Code)), WireJson.Wire.ErrorBody);

    /// <summary>An error in the request's form or values.</summary>
    public static ApiError Invalid(string message, string? param = null, string? code = null) => new(StatusCodes.Status400BadRequest, "invalid_request_error", message, param, code);

    /// <summary>A known field that the server does not support.</summary>
    public static ApiError Unsupported(string message, string param) => Invalid(message, param, "unsupported_parameter");

    /// <summary>A model that is not served.</summary>
    /// <param name="asked">The name in the request.</param>
    /// <param name="served">The model names that the route accepts.</param>
    public static ApiError ModelNotFound(string asked, IEnumerable<string> served) =>
        new(StatusCodes.Status404NotFound, "invalid_request_error", $"The model '{RequestErrors.Printable(asked)}' is not served; served: {string.Join(", ", served)}.", "model", "model_not_found");

    /// <summary>A served model that the called route does not support.</summary>
    public static ApiError ModelNotSupported(string message) => Invalid(message, "model", "model_not_supported");

    /// <summary>The server cannot serve requests for now.</summary>
    public static ApiError Unavailable(string message, string code) => new(StatusCodes.Status503ServiceUnavailable, "server_error", message, Code: code);

    /// <summary>The server must end before the response is complete.</summary>
    public static ApiError EndedByShutdown { get; } = Unavailable("The server is shutting down and has ended this response.", "shutting_down");

    /// <summary>A body that violates HTTP.</summary>
    public static ApiError UnreadableBody { get; } =
        Invalid("The request's body could not be read: a chunk, a trailer or the length is malformed, or the body ended too early. Send the whole body, with its Content-Length or with Transfer-Encoding: chunked.");

    /// <summary>More work than the queue holds.</summary>
    public static ApiError Overloaded(string message) => new(StatusCodes.Status429TooManyRequests, "rate_limit_error", message, Code: "queue_full");

    /// <summary>The error for a status that the framework set without a body.</summary>
    public static ApiError OfStatus(int status) => status switch
    {
        StatusCodes.Status404NotFound => new(status, "invalid_request_error", "There is no such route; see /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings, /rerank, /score, /tokenize, /detokenize, /health, /ready, /metrics, /version.", Code: "unknown_url"),
        StatusCodes.Status405MethodNotAllowed => new(status, "invalid_request_error", "The route does not support this method; the Allow header lists the supported methods.", Code: "method_not_allowed"),
        StatusCodes.Status408RequestTimeout => new(status, "invalid_request_error", "The request did not arrive in time; send it without pauses."),
        StatusCodes.Status413PayloadTooLarge => new(status, "invalid_request_error", "The request is too large.", Code: "request_too_large"),
        StatusCodes.Status415UnsupportedMediaType => new(status, "invalid_request_error", "The body's type is not supported; send Content-Type: application/json.", "Content-Type"),
        >= 500 => new(status, "server_error", Unexplained + "."),
        _ => new(status, "invalid_request_error", $"The request was refused with status {status}."),
    };

    /// <summary>Adds the id under which the log has details, if the message explains nothing.</summary>
    public ApiError WithId(string requestId) => Message == Unexplained + "." ? this with { Message = $"{Unexplained} under the id {requestId}." } : this;

    /// <summary>
    /// The error that a remote caller sees for an exception. Only messages of the server's and the engine's own exceptions are shown.
    /// </summary>
    public static ApiError Of(Exception failure) => failure switch
    {
        ApiException api => api.Error,
        EngineException engine => OfEngine(engine),
        TokenizerException tokenizer => OfEngine(EngineException.Of(tokenizer)),
        BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge or StatusCodes.Status408RequestTimeout } http => OfStatus(http.StatusCode),
        BadHttpRequestException => UnreadableBody,
        _ => OfStatus(StatusCodes.Status500InternalServerError),
    };

    private static ApiError OfEngine(EngineException failure) => failure.Kind switch
    {
        EngineErrorKind.InvalidRequest => Invalid(failure.Message, failure.Parameter, failure.IsUnsupported ? "unsupported_parameter" : null),
        EngineErrorKind.ContextLengthExceeded => Invalid(failure.Message, failure.Parameter, "context_length_exceeded"),
        EngineErrorKind.Overloaded => Overloaded(failure.Message),
        EngineErrorKind.ShuttingDown => Unavailable("The server is shutting down and accepts no more requests.", "shutting_down"),
        EngineErrorKind.EngineDead => Unavailable("The engine has failed; the server must be restarted.", "engine_dead"),
        EngineErrorKind.GenerationFailed => new(StatusCodes.Status500InternalServerError, "server_error", failure.Message, Code: "generation_failed"),
        // Their messages are for the operator.
        _ => OfStatus(StatusCodes.Status500InternalServerError),
    };
}

/// <summary>Ends the handling of a request with an error.</summary>
internal sealed class ApiException(ApiError error) : Exception(error.Message)
{
    /// <summary>The error.</summary>
    public ApiError Error { get; } = error;
}
