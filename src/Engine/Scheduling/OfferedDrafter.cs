namespace LocalLlm.Scheduling;

/// <summary>Proposes the drafts that the executor offers, which come from a model's own layers.</summary>
internal sealed class OfferedDrafter : IDrafter
{
    private int[] _drafts = [];
    private int _count;
    private int _numTokens; // known tokens before the drafts

    /// <inheritdoc/>
    public ReadOnlySpan<int> Propose(ReadOnlySpan<int> tokens, int numPromptTokens, int max) =>
        tokens.Length == _numTokens ? _drafts.AsSpan(0, int.Min(_count, max)) : [];

    /// <inheritdoc/>
    public void Offer(ReadOnlySpan<int> drafts, int numTokens)
    {
        if (_drafts.Length < drafts.Length)
            _drafts = new int[drafts.Length];
        drafts.CopyTo(_drafts);
        (_count, _numTokens) = (drafts.Length, numTokens);
    }
}
