using System.Text.Json;
using LocalLlm.Tokenizers;

namespace LocalLlm.Tool.JsonLines;

/// <summary>Keeps one bad line from harming others: whatever goes wrong with it becomes its result.</summary>
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
    /// The failure as an error of the closed set; one that nobody foresaw is the engine's fault, and its text stays inside.
    /// </summary>
    public static EngineException ToEngineException(Exception failure) =>
        failure as EngineException ?? (failure is TokenizerException tokenizer ? EngineException.Of(tokenizer) : null) ?? new EngineException(
            EngineErrorKind.GenerationFailed,
            $"this line failed unexpectedly ({failure.GetType().Name})",
            innerException: failure);
}
