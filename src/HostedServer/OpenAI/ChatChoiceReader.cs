using LocalLlm.Parsing;

namespace LocalLlm.Server.OpenAI;

/// <summary>Converts the engine's outputs for one choice of a chat completion to the parts that the client asked for.</summary>
/// <param name="engine">The engine that generates the choice.</param>
/// <param name="request">The client's request.</param>
internal sealed class ChatChoiceReader(LlmEngine engine, ChatRequest request)
{
    private readonly ResponseReader _reader = engine.CreateResponseReader(request.Generation, endsAfterCall: request.SingleCall);
    private int _calls;

    /// <summary>Number of tokens so far.</summary>
    public int Tokens => _reader.TokenCount;

    /// <summary>Number of reasoning tokens so far.</summary>
    public int ThinkingTokens => _reader.ReasoningTokenCount;

    /// <summary>Whether the choice is complete.</summary>
    public bool IsComplete => _reader.IsComplete;

    /// <summary>Reads the choice's next output; adds its tokens and its finish reason to <paramref name="delta"/>.</summary>
    /// <returns>The new parts of reasoning, text and calls, each with the number of its call if it has one.</returns>
    /// <exception cref="EngineException">The sequence failed, or the engine shut down.</exception>
    public IEnumerable<(ResponsePart Part, int Call)> Read(GenerationOutput output, ChoiceDelta delta)
    {
        if (IsComplete)
            return [];
        var parts = _reader.Append(output);
        // If the reasoning is not sent, its tokens are not sent either.
        if (request.IncludeReasoning || !_reader.BeganInThought)
        {
            delta.TokenIds.AddRange(output.TokenIds);
            delta.Logprobs.AddRange(output.Logprobs ?? []);
        }

        if (IsComplete)
        {
            delta.FinishReason = output.FinishReason == FinishReason.Length
                ? "length"
                : _reader.EndsWithToolCalls && !request.NamesTool ? "tool_calls" : "stop";
            delta.StopReason = (object?)output.StopString ?? output.StopTokenId;
        }

        return Wanted(parts);
    }

    private IEnumerable<(ResponsePart Part, int Call)> Wanted(IReadOnlyList<ResponsePart> parts)
    {
        foreach (var part in parts)
        {
            if (part.Kind == ResponsePartKind.ToolCall)
                _calls++;
            // If tool calls are required, text is part of a call that was cut off.
            if (part.Kind == ResponsePartKind.Text && request.ForcesCalls)
                continue;
            if (part.Kind == ResponsePartKind.Reasoning && !request.IncludeReasoning)
                continue;
            yield return (part, _calls - 1);
        }
    }
}
