using LocalLlm.Parsing;
using LocalLlm.Tokenization;

namespace LocalLlm;

/// <content>Responses of chats.</content>
public sealed partial class LlmEngine
{
    // More than the tags and what templates put after them.
    private const int TailTokens = 8;

    /// <summary>
    /// Whether the tokenizer has the tags of thoughts as tokens, so that a thought's tokens can be counted and held to a budget.
    /// </summary>
    public bool CanEndThoughts => _thinking is not null;

    private bool KnowsThoughts => Tokenizer is not null && Options.ReasoningParser switch
    {
        "none" => false,
        "auto" => _thinking is not null || ChatTemplate?.Source?.Contains(ReasoningParser.Close, StringComparison.Ordinal) == true,
        _ => true,
    };

    /// <summary>A reader for one sequence of a request: thoughts, text and calls of tools as they come.</summary>
    /// <param name="request">The request; calls are looked for where its chat has tools.</param>
    /// <param name="endsAfterCall">
    /// Whether the response is over with its first call (OpenAI's <c>parallel_tool_calls: false</c>): leave the enumeration then.
    /// </param>
    /// <param name="isVerbatim">Whether tags of thoughts, and line feeds beside them, are kept: tags as part of the thought.</param>
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

    /// <summary>A finished sequence of a request as a response.</summary>
    /// <param name="request">The request.</param>
    /// <param name="result">Its result, without an error.</param>
    /// <param name="index">Which of its sequences.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such sequence.</exception>
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

    // The prompt's end says whether the response begins inside of a thought. Where its text is held to a structure, a mark in it is no
    // call.
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
