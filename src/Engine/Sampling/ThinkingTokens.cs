namespace LocalLlm.Sampling;

/// <summary>The tokens that enclose a thought.</summary>
/// <param name="Open">The token that begins a thought.</param>
/// <param name="Close">The token that ends a thought.</param>
internal readonly record struct ThinkingTokens(int Open, int Close)
{
    // Only white space may follow a tag at the end of a prompt.
    private const int TailTokens = 4;

    /// <summary>
    /// Whether an output after this prompt begins inside a thought (true), after one (false), or may begin with one (null). The tag at the
    /// prompt's very end decides.
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
/// <param name="budget">Maximum number of tokens between the tags.</param>
internal sealed class ThinkingBudget(ThinkingTokens tokens, int budget)
{
    private int _used;
    private bool _isThinking;

    /// <summary>The token that must come next: the end of a thought that has used up its budget. Null: any token.</summary>
    public int? ForcedTokenId => _isThinking && _used >= budget ? tokens.Close : null;

    /// <summary>Reads the prompt, which may end inside a thought.</summary>
    public void AddPrompt(ReadOnlySpan<int> ids) => _isThinking = tokens.EndsInThought(ids) == true;

    /// <summary>Counts a generated token.</summary>
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
