using System.Text.Json;
using LocalLlm.Tokenizers;

namespace LocalLlm.Tool.JsonLines;

/// <summary>Keeps one bad line from affecting others: any failure becomes the result of its line.</summary>
internal static class LineHandler
{
    /// <summary>Parses <paramref name="line"/> and computes its result on another thread.</summary>
    public static Task<LineResult> Compute(
        JsonLine line,
        Func<JsonElement, LineResult> compute,
        Func<EngineException, LineResult> onError,
        CancellationToken cancellationToken) =>
        Task.Run(
            () =>
            {
                try
                {
                    using var document = JsonLineParser.Parse(line);
                    return compute(document.RootElement);
                }
                catch (Exception failure)
                {
                    return onError(ToEngineException(failure));
                }
            },
            cancellationToken);

    /// <summary>
    /// Converts a failure to one of the defined errors. An unexpected failure is reported as the engine's fault, without its text.
    /// </summary>
    public static EngineException ToEngineException(Exception failure) =>
        failure as EngineException ?? (failure is TokenizerException tokenizer ? EngineException.Of(tokenizer) : null) ?? new EngineException(
            EngineErrorKind.GenerationFailed,
            $"this line failed unexpectedly ({failure.GetType().Name})",
            innerException: failure);
}
