namespace LocalLlm.Parsing;

/// <summary>Counts the tokens of a response that belong to thoughts, if the tokenizer has the tags as tokens.</summary>
/// <param name="tags">The tags of thoughts; null: the tokenizer has no such tokens, and nothing is counted.</param>
internal sealed class ThoughtTokenCounter((int Open, int Close)? tags)
{
    private bool _hasBegun;

    /// <summary>Number of tokens in thoughts so far, excluding tags.</summary>
    public int Count { get; private set; }

    /// <summary>Whether the next token belongs to a thought, unless it is a tag.</summary>
    public bool IsThinking { get; set; }

    /// <summary>Counts the next tokens.</summary>
    public void Add(IReadOnlyList<int> tokenIds)
    {
        if (tags is not { } known)
            return;
        // A thought can open only at the beginning of the response, within the first tokens that arrive together.
        var mayOpen = !_hasBegun;
        _hasBegun |= tokenIds.Count > 0;
        foreach (var id in tokenIds)
        {
            if (id == known.Open && mayOpen)
                IsThinking = true;
            else if (id == known.Close)
                IsThinking = false;
            else if (IsThinking)
                Count++;
        }
    }
}
