namespace LocalLlm.Tokenizers;

/// <summary>
/// One streaming step from token texts back to text. The same steps decode a whole list of ids and one id at a time, so both give
/// the same text by construction. An instance belongs to one decoding and to one thread.
/// </summary>
internal abstract class TokenDecoder
{
    private TokenDecoder? _next;

    /// <summary>The step after this one.</summary>
    public TokenDecoder Next
    {
        get => _next ?? throw new InvalidOperationException("the last step has no next one");
        init => _next = value;
    }

    /// <summary>Takes the next token; after a step that fuses, the next stretch of the only token.</summary>
    public abstract void Push(ReadOnlySpan<char> token);

    /// <summary>Passes on the text held back; nothing may be pushed afterwards.</summary>
    public virtual void Finish() => Next.Finish();
}
