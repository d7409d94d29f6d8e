namespace LocalLlm.Scheduling;

/// <summary>Counts drafts and what was accepted of them.</summary>
/// <param name="max">Max number of tokens of a draft.</param>
internal sealed class DraftCounts(int max)
{
    private readonly long[] _accepted = new long[max]; // by place
    private long _drafts;
    private long _draftTokens;

    /// <summary>A step has verified a draft.</summary>
    /// <param name="drafted">Its tokens.</param>
    /// <param name="accepted">How many of them, from the first, were right.</param>
    public void Add(int drafted, int accepted)
    {
        _drafts++;
        _draftTokens += drafted;
        for (var i = 0; i < accepted; i++)
            _accepted[i]++;
    }

    /// <summary>The figures of this moment.</summary>
    public SpeculationStatistics ToStatistics() => new(_drafts, _draftTokens, _accepted.Sum(), [.. _accepted]);
}
