using LocalLlm.Parsing;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>One response in progress: converts the engine's outputs to updates with one id, complete tool calls and one usage.</summary>
/// <param name="engine">The engine that generates the response.</param>
/// <param name="options">The caller's options.</param>
/// <param name="request">The engine's request.</param>
internal sealed class ChatResponseStream(LlmEngine engine, ChatOptions? options, GenerationRequest request)
{
    /// <summary>The name of log-probabilities among the additional properties.</summary>
    public const string LogprobsProperty = "logprobs";

    private readonly string _id = Guid.NewGuid().ToString("N");
    private readonly DateTimeOffset _createdAt = DateTimeOffset.UtcNow;
    private readonly bool _showsThoughts = ChatRequestMapping.IncludesThoughts(options);
    private readonly ResponseReader _reader = engine.CreateResponseReader(request, endsAfterCall: options?.AllowMultipleToolCalls == false);
    private readonly ResponseBuilder _calls = new();

    /// <summary>
    /// Whether the response is over. It is also over, though the model could go on, once the only allowed tool call is complete.
    /// </summary>
    public bool IsComplete => _reader.IsComplete;

    /// <summary>Appends the engine's next output.</summary>
    /// <returns>The update for the caller, or null if there is nothing new.</returns>
    /// <exception cref="EngineException">The response failed.</exception>
    public ChatResponseUpdate? Next(GenerationOutput output)
    {
        var update = new ChatResponseUpdate
        {
            Role = ChatRole.Assistant,
            ResponseId = _id,
            MessageId = _id,
            ModelId = engine.ModelName,
            CreatedAt = _createdAt,
            RawRepresentation = output,
        };
        foreach (var part in _reader.Append(output))
            Add(part, update.Contents);
        if (output.Logprobs is { } logprobs)
            update.AdditionalProperties = new() { [LogprobsProperty] = logprobs };
        if (IsComplete)
            Finish(update, output);
        return update.Contents.Count > 0 || update.FinishReason is not null || output.Logprobs is not null ? update : null;
    }

    private void Add(ResponsePart part, IList<AIContent> contents)
    {
        switch (part.Kind)
        {
            case ResponsePartKind.Text:
                contents.Add(new TextContent(part.Value));
                break;
            case ResponsePartKind.Reasoning when _showsThoughts:
                contents.Add(new TextReasoningContent(part.Value));
                break;
            case ResponsePartKind.Reasoning:
                break;
            default:
                _calls.Add(part);
                break;
        }
    }

    // Tool calls are complete, and come last.
    private void Finish(ChatResponseUpdate update, GenerationOutput output)
    {
        foreach (var call in _calls.ToResponse().ToolCalls)
            update.Contents.Add(ChatToolMapping.ToContent(call.Name, call.Arguments));
        update.FinishReason = output.FinishReason == FinishReason.Length
            ? ChatFinishReason.Length
            : _reader.EndsWithToolCalls ? ChatFinishReason.ToolCalls : ChatFinishReason.Stop;
        var prompt = output.PromptTokenIds.Count;
        update.Contents.Add(new UsageContent(new()
        {
            InputTokenCount = prompt,
            OutputTokenCount = _reader.TokenCount,
            TotalTokenCount = prompt + _reader.TokenCount,
            // Known only at the end, and only if tokens mark the reasoning.
            CachedInputTokenCount = output.Usage?.CachedTokens,
            ReasoningTokenCount = engine.CanEndThoughts ? _reader.ReasoningTokenCount : null,
        }));
    }
}
