namespace LocalLlm.Parsing;

/// <summary>
/// Reads one sequence of a request as a model's response: what it thought, its text, and its calls of tools, in the formats of
/// DeepSeek's, Qwen's and Llama 3's models. <see cref="LlmEngine.CreateResponseReader"/> makes one for each sequence; it takes the
/// sequence's outputs as they come. The parts do not depend on how the outputs are cut: joined, parts of the same kind are the same. Not
/// safe for concurrent use.
/// </summary>
public sealed class ResponseReader
{
    private readonly Func<IReadOnlyList<int>, ResponseParser> _createParser;
    private readonly ThoughtTokenCounter _thoughts;
    private readonly bool _endsAfterCall;
    private readonly List<ResponsePart> _parts = [];
    private ResponseParser? _parser;
    private bool _isCallCut;

    /// <param name="createParser">Makes the parser, from the prompt: its end says whether the response begins inside of a thought.</param>
    /// <param name="thoughts">Counts tokens of thoughts.</param>
    /// <param name="endsAfterCall">Whether the response is over with its first call.</param>
    internal ResponseReader(Func<IReadOnlyList<int>, ResponseParser> createParser, ThoughtTokenCounter thoughts, bool endsAfterCall) =>
        (_createParser, _thoughts, _endsAfterCall) = (createParser, thoughts, endsAfterCall);

    /// <summary>Tokens so far.</summary>
    public int TokenCount { get; private set; }

    /// <summary>Those of them that are thoughts, tags apart; 0 where <see cref="LlmEngine.CanEndThoughts"/> is false.</summary>
    public int ReasoningTokenCount => _thoughts.Count;

    /// <summary>Calls so far, one that has begun included.</summary>
    public int ToolCallCount { get; private set; }

    /// <summary>Whether there are calls, all of them whole: OpenAI's finish reason is then <c>tool_calls</c> and not <c>stop</c>.</summary>
    public bool EndsWithToolCalls => ToolCallCount > 0 && !_isCallCut;

    /// <summary>Whether the output that was appended last began inside of a thought.</summary>
    public bool BeganInThought { get; private set; }

    /// <summary>Whether nothing more comes: the sequence has ended, or the only call that was asked for is whole.</summary>
    public bool IsComplete { get; private set; }

    /// <summary>Takes the sequence's next output.</summary>
    /// <param name="output">An output of one and the same <see cref="GenerationOutput.Index"/>.</param>
    /// <returns>What is certain by now and new, in order; valid until the next call. Empty once the response is complete.</returns>
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
                    // After the only call that was asked for nothing more is said.
                    _parts.RemoveRange(i + 1, _parts.Count - i - 1);
                    IsComplete = true;
                    return;
                case ResponsePartKind.ToolCallEnd:
                    break;
            }
        }
    }
}
