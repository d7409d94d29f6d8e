namespace LocalLlm.Sampling;

/// <summary>The tokens around a thought.</summary>
/// <param name="Open">Begins it.</param>
/// <param name="Close">Ends it.</param>
internal readonly record struct ThinkingTokens(int Open, int Close)
{
    // A tag at the end of a prompt has white space behind it at most.
    private const int TailTokens = 4;

    /// <summary>
    /// Whether an output after this prompt begins in a thought (true), after one (false), or may begin with one (null): the tag at the
    /// prompt's very end says it.
    /// </summary>
    public bool? EndsInThought(ReadOnlySpan<int> prompt)
    {
        var tail = prompt[Math.Max(0, prompt.Length - TailTokens)..];
        var last = tail.LastIndexOfAny(Open, Close);
        return last < 0 ? null : tail[last] == Open;
    }
}

/// <summary>Counts an output's thinking tokens against its budget.</summary>
/// <param name="tokens">The tags.</param>
/// <param name="budget">Most tokens between them.</param>
internal sealed class ThinkingBudget(ThinkingTokens tokens, int budget)
{
    private int _used;
    private bool _isThinking;

    /// <summary>The token that must come next: the end of a thought that has used the budget up. Null: any.</summary>
    public int? ForcedTokenId => _isThinking && _used >= budget ? tokens.Close : null;

    /// <summary>Takes the prompt: it may end inside of a thought.</summary>
    public void AddPrompt(ReadOnlySpan<int> ids) => _isThinking = tokens.EndsInThought(ids) == true;

    /// <summary>Takes a generated token.</summary>
    public void Append(int tokenId)
    {
        if (tokenId == tokens.Open)
            _isThinking = true;
        else if (tokenId == tokens.Close)
            _isThinking = false;
        else if (_isThinking)
            _used++;
    }
}
