namespace LocalLlm.Tokenizers;

/// <summary>
/// Turns the ids of one sequence into text as they arrive. The returned texts, joined, are exactly <see cref="Tokenizer.Decode"/>
/// of all ids. A character is returned once it is complete, never in parts. Amortised O(1) per id. Not thread-safe.
/// </summary>
public sealed class IncrementalDetokenizer
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecialTokens;
    private readonly TextCollector _text = new();
    private readonly TokenDecoder _decoder;

    /// <summary>Creates a detokenizer before the first id.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="skipSpecialTokens">Leaves special tokens out. Added tokens that are not special stay.</param>
    public IncrementalDetokenizer(Tokenizer tokenizer, bool skipSpecialTokens)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        _tokenizer = tokenizer;
        _skipSpecialTokens = skipSpecialTokens;
        _decoder = tokenizer.BuildDecoder(_text);
    }

    /// <summary>Takes the next id and returns the text that became certain since the last call; often empty.</summary>
    /// <param name="id">The id.</param>
    /// <exception cref="TokenizerException"><see cref="TokenizerErrorKind.TokenId"/>: the id is out of range.</exception>
    public string Append(int id)
    {
        Push(id);
        return _text.Take();
    }

    /// <summary>Takes several ids at once.</summary>
    /// <param name="ids">The ids.</param>
    /// <exception cref="TokenizerException"><see cref="TokenizerErrorKind.TokenId"/>: an id is out of range.</exception>
    public string Append(ReadOnlySpan<int> ids)
    {
        foreach (var id in ids)
            Push(id);
        return _text.Take();
    }

    /// <summary>Ends the sequence and returns the text held back; an incomplete character becomes U+FFFD. Call it once, last.</summary>
    public string Flush()
    {
        _decoder.Finish();
        return _text.Take();
    }

    /// <summary>Takes an id; the next call that returns text returns its text.</summary>
    internal void Push(int id) => _tokenizer.PushToken(id, _decoder, _skipSpecialTokens);
}
