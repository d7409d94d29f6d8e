namespace LocalLlm.Parsing;

/// <summary>
/// Reads one sequence of a request as a model's response: its reasoning, its text and its tool calls, in the formats of DeepSeek's, Qwen's
/// and Llama 3's models. <see cref="LlmEngine.CreateResponseReader"/> creates one for each sequence; pass it the sequence's outputs as they
/// arrive. Where the outputs are cut does not matter: joined, parts of the same kind are always the same. Not safe for concurrent use.
/// </summary>
public sealed class ResponseReader
{
    private readonly Func<IReadOnlyList<int>, ResponseParser> _createParser;
    private readonly ThoughtTokenCounter _thoughts;
    private readonly bool _endsAfterCall;
    private readonly List<ResponsePart> _parts = [];
    private ResponseParser? _parser;
    private bool _isCallCut;

    /// <param name="createParser">Creates the parser from the prompt, whose end decides whether the response begins inside a
    /// thought.</param>
    /// <param name="thoughts">Counts tokens of thoughts.</param>
    /// <param name="endsAfterCall">Whether the response ends after its first call.</param>
    internal ResponseReader(Func<IReadOnlyList<int>, ResponseParser> createParser, ThoughtTokenCounter thoughts, bool endsAfterCall) =>
        (_createParser, _thoughts, _endsAfterCall) = (createParser, thoughts, endsAfterCall);

    /// <summary>Number of tokens so far.</summary>
    public int TokenCount { get; private set; }

    /// <summary>How many of them belong to thoughts, excluding tags; 0 if <see cref="LlmEngine.CanEndThoughts"/> is false.</summary>
    public int ReasoningTokenCount => _thoughts.Count;

    /// <summary>Number of calls so far, including an unfinished one.</summary>
    public int ToolCallCount { get; private set; }

    /// <summary>Whether there are calls, all of them complete: OpenAI's finish reason is then <c>tool_calls</c> and not
    /// <c>stop</c>.</summary>
    public bool EndsWithToolCalls => ToolCallCount > 0 && !_isCallCut;

    /// <summary>Whether the last appended output began inside a thought.</summary>
    public bool BeganInThought { get; private set; }

    /// <summary>Whether nothing more follows: the sequence has ended, or the only requested call is complete.</summary>
    public bool IsComplete { get; private set; }

    /// <summary>Reads the sequence's next output.</summary>
    /// <param name="output">An output of this sequence; its <see cref="GenerationOutput.Index"/> is always the same.</param>
    /// <returns>The new parts that are certain by now, in order; valid until the next call. Empty once the response is complete.</returns>
    /// <exception cref="EngineException">The sequence failed, or the engine shut down.</exception>
    public IReadOnlyList<ResponsePart> Append(GenerationOutput output)
    {
        ArgumentNullException.ThrowIfNull(output);
        _parts.Clear();
        if (IsComplete)
            return _parts;
        output.ThrowIfFailed();
        _parser ??= Begin(output);
        BeganInThought = _parser.IsThinking;
        TokenCount += output.TokenIds.Count;
        _thoughts.Add(output.TokenIds);
        _parser.Append(output.Text, _parts);
        if (output.FinishReason is not null)
            _parser.Finish(_parts, output.IsCut);
        IsComplete = output.FinishReason is not null;
        CountCalls();
        return _parts;
    }

    private ResponseParser Begin(GenerationOutput output)
    {
        var parser = _createParser(output.PromptTokenIds);
        _thoughts.IsThinking = parser.IsThinking;
        return parser;
    }

    private void CountCalls()
    {
        for (var i = 0; i < _parts.Count; i++)
        {
            switch (_parts[i].Kind)
            {
                case ResponsePartKind.ToolCall:
                    ToolCallCount++;
                    break;
                case ResponsePartKind.ToolCallCut:
                    _isCallCut = true;
                    goto case ResponsePartKind.ToolCallEnd;
                case ResponsePartKind.ToolCallEnd when _endsAfterCall:
                    // Drop everything after the only requested call.
                    _parts.RemoveRange(i + 1, _parts.Count - i - 1);
                    IsComplete = true;
                    return;
                case ResponsePartKind.ToolCallEnd:
                    break;
            }
        }
    }
}
