using System.Text;
using LocalLlm.Parsing;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>One answer on its way: from the engine's outputs to updates with one identity, whole calls, and one usage.</summary>
/// <param name="engine">Where it is made.</param>
/// <param name="options">What was asked for.</param>
/// <param name="request">The engine's request.</param>
internal sealed class ChatAnswer(LlmEngine engine, ChatOptions? options, GenerationRequest request)
{
    /// <summary>Where log-probabilities are in the additional properties.</summary>
    public const string LogprobsProperty = "logprobs";

    private readonly string _id = Guid.NewGuid().ToString("N");
    private readonly DateTimeOffset _createdAt = DateTimeOffset.UtcNow;
    private readonly bool _showsThoughts = ChatRequestMapping.IncludesThoughts(options);
    private readonly List<OutputPiece> _pieces = [];
    private readonly List<FunctionCallContent> _calls = [];
    private readonly StringBuilder _arguments = new();
    private string _toolName = "";
    private bool _isCallCut;
    private AnswerParser? _parser;
    private bool _isThinking;
    private int _thinkingTokens;
    private int _tokens;

    /// <summary>Whether the answer is over although the model could go on: one call was asked for, and it is there.</summary>
    public bool IsOver => _calls.Count > 0 && options?.AllowMultipleToolCalls == false;

    /// <summary>Takes the engine's next output.</summary>
    /// <returns>What is new for the caller, or null.</returns>
    /// <exception cref="EngineException">The answer failed.</exception>
    public ChatResponseUpdate? Next(GenerationOutput output)
    {
        if (output.FinishReason == FinishReason.Error)
            throw new EngineException(EngineErrorKind.GenerationFailed, output.Error!);
        if (output.FinishReason == FinishReason.Abort)
            throw new EngineException(EngineErrorKind.ShuttingDown, "The engine shut down before the answer was finished.");
        if (_parser is null)
        {
            _parser = engine.CreateAnswerParser(output.PromptTokenIds, request.Chat?.Tools is not null, request.Sampling.StructuredOutputs is not null);
            _isThinking = _parser.IsThinking;
        }

        _tokens += output.TokenIds.Count;
        _thinkingTokens += engine.CountThinkingTokens(output.TokenIds, _tokens == output.TokenIds.Count, ref _isThinking);
        _pieces.Clear();
        _parser.Append(output.Text, _pieces);
        if (output.FinishReason is not null)
            _parser.Finish(_pieces, output.IsCut);
        var update = new ChatResponseUpdate
        {
            Role = ChatRole.Assistant,
            ResponseId = _id,
            MessageId = _id,
            ModelId = engine.ModelName,
            CreatedAt = _createdAt,
            RawRepresentation = output,
        };
        AddContents(update.Contents);
        if (output.Logprobs is { } logprobs)
            update.AdditionalProperties = new() { [LogprobsProperty] = logprobs };
        if (output.FinishReason is not null || IsOver)
            Finish(update, output);
        return update.Contents.Count > 0 || update.FinishReason is not null || output.Logprobs is not null ? update : null;
    }

    private void AddContents(IList<AIContent> contents)
    {
        foreach (var piece in _pieces)
        {
            // After the only call that was asked for nothing more is said.
            if (IsOver)
                return;
            switch (piece.Kind)
            {
                case OutputPieceKind.ToolCall:
                    _toolName = piece.Value;
                    _arguments.Clear();
                    break;
                case OutputPieceKind.ToolArguments:
                    _arguments.Append(piece.Value);
                    break;
                case OutputPieceKind.ToolCallEnd or OutputPieceKind.ToolCallCut:
                    _calls.Add(ChatToolMapping.ToContent(_toolName, _arguments.ToString()));
                    _isCallCut = piece.Kind == OutputPieceKind.ToolCallCut;
                    break;
                case OutputPieceKind.Text:
                    contents.Add(new TextContent(piece.Value));
                    break;
                case OutputPieceKind.Reasoning when _showsThoughts:
                    contents.Add(new TextReasoningContent(piece.Value));
                    break;
            }
        }
    }

    // Calls are whole, and come last.
    private void Finish(ChatResponseUpdate update, GenerationOutput output)
    {
        foreach (var call in _calls)
            update.Contents.Add(call);
        update.FinishReason = output.FinishReason == FinishReason.Length ? ChatFinishReason.Length : _calls.Count > 0 && !_isCallCut ? ChatFinishReason.ToolCalls : ChatFinishReason.Stop;
        var prompt = output.PromptTokenIds.Count;
        update.Contents.Add(new UsageContent(new()
        {
            InputTokenCount = prompt,
            OutputTokenCount = _tokens,
            TotalTokenCount = prompt + _tokens,
            // Known at the end only, and where thoughts are marked by tokens.
            CachedInputTokenCount = output.Usage?.CachedTokens,
            ReasoningTokenCount = engine.CanEndThoughts ? _thinkingTokens : null,
        }));
    }
}
