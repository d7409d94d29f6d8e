using System.Runtime.CompilerServices;
using LocalLlm;
using LocalLlm.Requests;
using Microsoft.SemanticKernel.Services;

namespace Microsoft.SemanticKernel.TextGeneration;

/// <summary>
/// The engine as a text service. It continues the prompt as it is, without a chat template, and returns everything as text.
/// </summary>
public sealed class LocalLlmTextGenerationService : ITextGenerationService
{
    private readonly Func<CancellationToken, Task<LlmEngine>> _engine;

    /// <param name="engine">An engine that the caller keeps alive.</param>
    public LocalLlmTextGenerationService(LlmEngine engine)
        : this(_ => Task.FromResult(engine), engine?.ModelName ?? throw new ArgumentNullException(nameof(engine)))
    {
    }

    internal LocalLlmTextGenerationService(Func<CancellationToken, Task<LlmEngine>> engine, string modelId)
    {
        _engine = engine;
        Attributes = new Dictionary<string, object?> { [AIServiceExtensions.ModelIdKey] = modelId };
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, object?> Attributes { get; }

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">The settings have a field that this service does not honour.</exception>
    /// <exception cref="EngineException">The settings are malformed, or the request is refused or fails.</exception>
    public async Task<IReadOnlyList<TextContent>> GetTextContentsAsync(
        string prompt, PromptExecutionSettings? executionSettings = null, Kernel? kernel = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        var sampling = SettingsFields.ForText(executionSettings, out var budget);
        var engine = await _engine(cancellationToken).ConfigureAwait(false);
        var result = await engine.CompleteAsync(Request(engine, prompt, sampling, budget), cancellationToken).ConfigureAwait(false);
        return [.. result.Outputs.Select(output => new TextContent(output.Text, engine.ModelName, result, metadata: Metadata(output.FinishReason, result.Usage)))];
    }

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">The settings have a field that this service does not honour.</exception>
    /// <exception cref="EngineException">The settings are malformed, or the request is refused or fails.</exception>
    public IAsyncEnumerable<StreamingTextContent> GetStreamingTextContentsAsync(
        string prompt, PromptExecutionSettings? executionSettings = null, Kernel? kernel = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        var sampling = SettingsFields.ForText(executionSettings, out var budget);
        return StreamAsync(prompt, sampling, budget, cancellationToken);
    }

    private async IAsyncEnumerable<StreamingTextContent> StreamAsync(string prompt, SamplingParams sampling, int? budget, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var engine = await _engine(cancellationToken).ConfigureAwait(false);
        await foreach (var output in engine.GenerateAsync(Request(engine, prompt, sampling, budget), cancellationToken).ConfigureAwait(false))
        {
            output.ThrowIfFailed();
            yield return new(output.Text, output.Index, engine.ModelName, output, metadata: output.FinishReason is null ? null : Metadata(output.FinishReason, output.Usage));
        }
    }

    private static Dictionary<string, object?> Metadata(FinishReason? reason, TokenUsage? usage) =>
        new() { ["FinishReason"] = reason?.ToString().ToLowerInvariant(), ["Usage"] = usage };

    // An effort is a wish: for a model that does not think, it is dropped.
    private static GenerationRequest Request(LlmEngine engine, string prompt, SamplingParams sampling, int? budget) =>
        GenerationRequest.FromText(prompt, ThinkingSetting.Limit(sampling, budget, engine.CanEndThoughts));
}
