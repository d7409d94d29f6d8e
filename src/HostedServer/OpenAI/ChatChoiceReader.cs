using LocalLlm.Parsing;

namespace LocalLlm.Server.OpenAI;

/// <summary>One choice of a chat completion on its way: from the engine's outputs to the parts that the client asked for.</summary>
/// <param name="engine">Where it is made.</param>
/// <param name="request">What was asked.</param>
internal sealed class ChatChoiceReader(LlmEngine engine, ChatRequest request)
{
    private readonly ResponseReader _reader = engine.CreateResponseReader(request.Generation, endsAfterCall: request.SingleCall);
    private int _calls;

    /// <summary>Tokens so far.</summary>
    public int Tokens => _reader.TokenCount;

    /// <summary>Those of them that were thoughts.</summary>
    public int ThinkingTokens => _reader.ReasoningTokenCount;

    /// <summary>Whether nothing more comes.</summary>
    public bool IsComplete => _reader.IsComplete;

    /// <summary>Takes the choice's next output: its tokens and its end go to <paramref name="delta"/>.</summary>
    /// <returns>What is new of thought, text and calls, each with the number of its call if it has one.</returns>
    /// <exception cref="EngineException">The sequence failed, or the engine shut down.</exception>
    public IEnumerable<(ResponsePart Part, int Call)> Read(GenerationOutput output, ChoiceDelta delta)
    {
        if (IsComplete)
            return [];
        var parts = _reader.Append(output);
        // Tokens of a thought that is not sent are not sent either.
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
            // Where calls are required, text is part of one that was cut off.
            if (part.Kind == ResponsePartKind.Text && request.ForcesCalls)
                continue;
            if (part.Kind == ResponsePartKind.Reasoning && !request.IncludeReasoning)
                continue;
            yield return (part, _calls - 1);
        }
    }
}
