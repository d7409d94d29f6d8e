using LocalLlm.Parsing;

namespace LocalLlm.Server.OpenAI;

/// <summary>What one output of the engine adds to a choice.</summary>
internal sealed record AnswerPart
{
    /// <summary>New thought.</summary>
    public string Reasoning { get; set; } = "";

    /// <summary>New text.</summary>
    public string Content { get; set; } = "";

    /// <summary>New calls, and more arguments of the one that was begun before.</summary>
    public List<ToolCall> Calls { get; } = [];

    /// <summary>Tokens whose log-probabilities or ids may be sent.</summary>
    public List<TokenLogprobs> Logprobs { get; } = [];

    /// <summary>Their ids.</summary>
    public List<int> TokenIds { get; } = [];

    /// <summary>Set on the last part.</summary>
    public string? FinishReason { get; set; }

    /// <summary>What ended it: a stop string or a token id.</summary>
    public object? StopReason { get; set; }

    /// <summary>Adds arguments to the call that was begun last.</summary>
    public void AddArguments(int index, string text)
    {
        if (Calls.Count > 0)
            Calls[^1] = Calls[^1] with { Function = Calls[^1].Function with { Arguments = Calls[^1].Function.Arguments + text } };
        else
            Calls.Add(new(null, new(null, text)) { Index = index });
    }

    /// <summary>Whether there is anything for the client.</summary>
    public bool HasContent => Reasoning.Length > 0 || Content.Length > 0 || Calls.Count > 0 || FinishReason is not null;
}

/// <summary>One choice of a chat answer on its way: from the engine's outputs to thoughts, text and calls.</summary>
/// <param name="engine">Where it is made.</param>
/// <param name="request">What was asked.</param>
internal sealed class AnswerReader(LlmEngine engine, ChatRequest request)
{
    private readonly List<OutputPiece> _pieces = [];
    private AnswerParser? _parser;
    private bool _isThinking;
    private int _calls;
    private bool _isCallCut;

    /// <summary>Tokens so far.</summary>
    public int Tokens { get; private set; }

    /// <summary>Those of them that were thoughts.</summary>
    public int ThinkingTokens { get; private set; }

    /// <summary>Whether nothing more comes.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Takes the choice's next output and adds to <paramref name="part"/> what is new.</summary>
    /// <exception cref="EngineException">The answer failed, or the engine shut down.</exception>
    public void Next(GenerationOutput output, AnswerPart part)
    {
        if (IsOver)
            return;
        Failures.ThrowIfFailed(output);
        if (_parser is null)
        {
            _parser = engine.CreateAnswerParser(output.PromptTokenIds, request.HasTools, request.Generation.Sampling.StructuredOutputs is not null);
            _isThinking = _parser.IsThinking;
        }

        var isHidden = !request.IncludeReasoning && _parser.IsThinking;
        Tokens += output.TokenIds.Count;
        ThinkingTokens += engine.CountThinkingTokens(output.TokenIds, Tokens == output.TokenIds.Count, ref _isThinking);
        _pieces.Clear();
        _parser.Append(output.Text, _pieces);
        if (output.FinishReason is not null)
            _parser.Finish(_pieces, output.IsCut);
        foreach (var piece in _pieces)
            Add(piece, part);
        if (!isHidden)
        {
            part.TokenIds.AddRange(output.TokenIds);
            part.Logprobs.AddRange(output.Logprobs ?? []);
        }

        if (output.FinishReason is null && !IsOver)
            return;
        IsOver = true;
        part.FinishReason = output.FinishReason == FinishReason.Length ? "length" : _calls > 0 && !_isCallCut && !request.NamesTool ? "tool_calls" : "stop";
        part.StopReason = (object?)output.StopString ?? output.StopTokenId;
    }

    private void Add(OutputPiece piece, AnswerPart part)
    {
        // After the only call that was asked for nothing more is said.
        if (IsOver)
            return;
        switch (piece.Kind)
        {
            case OutputPieceKind.ToolCall:
                part.Calls.Add(new($"call_{Guid.NewGuid():N}", new(piece.Value, "")) { Index = _calls++ });
                break;
            case OutputPieceKind.ToolArguments:
                part.AddArguments(_calls - 1, piece.Value);
                break;
            case OutputPieceKind.ToolCallEnd:
                IsOver = request.SingleCall;
                break;
            case OutputPieceKind.ToolCallCut:
                _isCallCut = true;
                break;
            case OutputPieceKind.Text when !request.ForcesCalls:
                part.Content += piece.Value;
                break;
            case OutputPieceKind.Reasoning when request.IncludeReasoning:
                part.Reasoning += piece.Value;
                break;
        }
    }
}

/// <summary>Outputs that are no answers.</summary>
internal static class Failures
{
    /// <exception cref="EngineException">The sequence failed, or the engine shut down.</exception>
    public static void ThrowIfFailed(GenerationOutput output)
    {
        if (output.FinishReason == FinishReason.Error)
            throw new EngineException(EngineErrorKind.GenerationFailed, output.Error!);
        if (output.FinishReason == FinishReason.Abort)
            throw new EngineException(EngineErrorKind.ShuttingDown, "The engine shut down before the answer was finished.");
    }
}
