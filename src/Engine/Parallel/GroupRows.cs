namespace LocalLlm.Parallel;

/// <summary>
/// How many tokens each data-parallel group computes in the current step: every rank knows it from the step, so that the groups exchange rows
/// without telling each other how many.
/// </summary>
/// <param name="group">This rank's group.</param>
/// <param name="groups">Number of groups.</param>
internal sealed class GroupRows(int group, int groups)
{
    private readonly int[] _counts = new int[groups];

    /// <summary>Of each group.</summary>
    public IReadOnlyList<int> Counts => _counts;

    /// <summary>Where this group's rows are among those of all groups.</summary>
    public int First { get; private set; }

    /// <summary>Forgets the last step.</summary>
    public void Clear()
    {
        Array.Clear(_counts);
        First = 0;
    }

    /// <summary>Adds tokens of a group.</summary>
    public void Add(int ofGroup, int count)
    {
        _counts[ofGroup] += count;
        if (ofGroup < group)
            First += count;
    }
}
