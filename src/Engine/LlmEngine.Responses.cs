using LocalLlm.Parsing;
using LocalLlm.Tokenization;

namespace LocalLlm;

/// <content>Reads responses to chats.</content>
public sealed partial class LlmEngine
{
    // Longer than the reasoning tags and what templates write after them.
    private const int TailTokens = 8;

    /// <summary>
    /// Whether the tokenizer has the reasoning tags as tokens, so that the engine can count a thought's tokens and limit them.
    /// </summary>
    public bool CanEndThoughts => _thinking is not null;

    private bool KnowsThoughts => Tokenizer is not null && Options.ReasoningParser switch
    {
        "none" => false,
        "auto" => _thinking is not null || ChatTemplate?.Source?.Contains(ReasoningParser.Close, StringComparison.Ordinal) == true,
        _ => true,
    };

    /// <summary>Creates a reader for one sequence of a request. It streams thoughts, text and tool calls.</summary>
    /// <param name="request">The request. The reader looks for tool calls if the request's chat has tools.</param>
    /// <param name="endsAfterCall">
    /// Whether the response ends with its first call (OpenAI's <c>parallel_tool_calls: false</c>): leave the enumeration then.
    /// </param>
    /// <param name="isVerbatim">Whether to keep reasoning tags, as part of the thought, and the line feeds beside them.</param>
    /// <exception cref="ArgumentNullException"><paramref name="request"/> is null.</exception>
    public ResponseReader CreateResponseReader(GenerationRequest request, bool endsAfterCall = false, bool isVerbatim = false)
    {
        ArgumentNullException.ThrowIfNull(request);
        var (hasTools, isStructured) = (request.Chat?.Tools is not null, request.Sampling.StructuredOutputs is not null);
        return new(
            promptTokenIds => CreateResponseParser(promptTokenIds, hasTools, isStructured, isVerbatim),
            new(_thinking is { } tags ? (tags.Open, tags.Close) : null),
            endsAfterCall);
    }

    /// <summary>Reads a finished sequence of a request as a response.</summary>
    /// <param name="request">The request.</param>
    /// <param name="result">The request's result, without an error.</param>
    /// <param name="index">The index of the sequence.</param>
    /// <exception cref="ArgumentOutOfRangeException">The result has no sequence with this index.</exception>
    public Response ReadResponse(GenerationRequest request, GenerationResult result, int index = 0)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, result.Outputs.Count);
        var output = result.Outputs[index];
        var response = new ResponseBuilder();
        response.Add(CreateResponseReader(request).Append(new()
        {
            RequestId = result.RequestId,
            Index = index,
            Text = output.Text,
            TokenIds = output.TokenIds,
            PromptTokenIds = result.PromptTokenIds,
            FinishReason = output.FinishReason,
            StopString = output.StopString,
            StopTokenId = output.StopTokenId,
        }));
        return response.ToResponse();
    }

    // The end of the prompt shows whether the response begins inside a thought. In structured output, a tool-call mark in the text is not
    // a call.
    private ResponseParser CreateResponseParser(IReadOnlyList<int> promptTokenIds, bool hasTools, bool isStructured, bool isVerbatim)
    {
        ReasoningParser? reasoning = null;
        if (KnowsThoughts)
        {
            var tail = promptTokenIds.Skip(promptTokenIds.Count - TailTokens).ToArray();
            var text = TokenizerErrors.Translated(() => Tokenizer!.Decode(tail, skipSpecialTokens: false));
            reasoning = new(text, isVerbatim);
        }

        return new(reasoning, hasTools ? ToolFormat.CreateParser(isStructured) : null);
    }
}
