using LocalLlm.Parsing;
using LocalLlm.Tokenization;

namespace LocalLlm;

/// <content>Answers of chats.</content>
public sealed partial class LlmEngine
{
    // More than the tags and what templates put after them.
    private const int TailTokens = 8;

    /// <summary>Whether the tokenizer has the tags of thoughts as tokens, so that a thought can be ended.</summary>
    internal bool CanEndThoughts => _thinking is not null;

    /// <summary>A parser for one answer.</summary>
    /// <param name="promptTokenIds">The prompt: its end says whether the answer begins inside of a thought.</param>
    /// <param name="tools">Whether the answer may call tools.</param>
    /// <param name="isStructured">Whether it is held to a structure where it calls none: then a mark in its text is no call.</param>
    internal AnswerParser CreateAnswerParser(IReadOnlyList<int> promptTokenIds, bool tools, bool isStructured = false)
    {
        ReasoningParser? reasoning = null;
        if (KnowsThoughts)
        {
            var tail = promptTokenIds.Skip(promptTokenIds.Count - TailTokens).ToArray();
            reasoning = new(TokenizerErrors.Translated(() => Tokenizer!.Decode(tail, skipSpecialTokens: false)));
        }

        return new(reasoning, tools ? ToolFormat.CreateParser(isStructured) : null);
    }

    /// <summary>How many of an answer's tokens belong to thoughts, if the tokenizer has the tags as tokens.</summary>
    /// <param name="tokenIds">New tokens of the answer.</param>
    /// <param name="isFirst">Whether the answer begins with them: a thought opens nowhere else.</param>
    /// <param name="isThinking">Whether the token before them belonged to a thought; afterwards whether the last one did.</param>
    internal int CountThinkingTokens(IReadOnlyList<int> tokenIds, bool isFirst, ref bool isThinking)
    {
        if (_thinking is not { } tags)
            return 0;
        var count = 0;
        foreach (var id in tokenIds)
        {
            if (id == tags.Open && isFirst)
                isThinking = true;
            else if (id == tags.Close)
                isThinking = false;
            else if (isThinking)
                count++;
        }

        return count;
    }

    private bool KnowsThoughts => Tokenizer is not null && Options.ReasoningParser switch
    {
        "none" => false,
        "auto" => _thinking is not null || ChatTemplate?.Source?.Contains(ReasoningParser.Close, StringComparison.Ordinal) == true,
        _ => true,
    };
}
