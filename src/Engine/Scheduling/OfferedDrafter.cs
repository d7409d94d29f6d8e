namespace LocalLlm.Scheduling;

/// <summary>Proposes what the executor has guessed: the drafts of a model's own layers.</summary>
internal sealed class OfferedDrafter : IDrafter
{
    private int[] _drafts = [];
    private int _count;
    private int _numTokens; // that they follow

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
