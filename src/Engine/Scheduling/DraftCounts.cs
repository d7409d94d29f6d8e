namespace LocalLlm.Scheduling;

/// <summary>Counts drafts and accepted drafts.</summary>
/// <param name="max">Max number of tokens of a draft.</param>
internal sealed class DraftCounts(int max)
{
    private readonly long[] _accepted = new long[max]; // by position in the draft
    private long _drafts;
    private long _draftTokens;

    /// <summary>Counts a draft that a step has verified.</summary>
    /// <param name="drafted">Number of drafted tokens.</param>
    /// <param name="accepted">How many of them, from the first on, were right.</param>
    public void Add(int drafted, int accepted)
    {
        _drafts++;
        _draftTokens += drafted;
        for (var i = 0; i < accepted; i++)
            _accepted[i]++;
    }

    /// <summary>The current figures.</summary>
    public SpeculationStatistics ToStatistics() => new(_drafts, _draftTokens, _accepted.Sum(), [.. _accepted]);
}
