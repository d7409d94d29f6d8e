using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// How many tokens each data-parallel group computes in the current step: every rank knows it from the step, so that the groups exchange
/// rows without telling each other how many.
/// </summary>
/// <param name="group">This rank's group.</param>
/// <param name="groups">Number of groups.</param>
internal sealed class GroupRows(int group, int groups)
{
    private readonly int[] _counts = new int[groups];

    /// <summary>Of each group.</summary>
    public IReadOnlyList<int> Counts => _counts;

    /// <summary>Of this rank's group.</summary>
    public int Own => _counts[group];

    /// <summary>Where this group's rows are among those of all groups.</summary>
    public int First { get; private set; }

    /// <summary>Forgets the last step.</summary>
    public void Clear()
    {
        Array.Clear(_counts);
        First = 0;
    }

    /// <summary>
    /// The rows of all groups one after the other, of a tensor in which each has as much room as the one with the most: what lies behind
    /// the rows of the others is left out.
    /// </summary>
    /// <param name="laid">[groups · most rows, width], contiguous.</param>
    /// <param name="rows">Of each group; one of them has some.</param>
    /// <returns>[rows of all, width], contiguous, of the current dispose scope; it may lie where <paramref name="laid"/> lies.</returns>
    public static Tensor Join(Tensor laid, IReadOnlyList<int> rows)
    {
        long most = rows.Max();
        if (rows.All(count => count == most))
            return laid.alias();
        var parts = Enumerable.Range(0, rows.Count).Where(group => rows[group] > 0).Select(group => laid.narrow(0, group * most, rows[group])).ToArray();
        if (parts.Length == 1)
            return parts[0];
        var joined = cat(parts, 0);
        foreach (var part in parts)
            part.Dispose();
        return joined;
    }

    /// <summary>Adds tokens of a group.</summary>
    public void Add(int ofGroup, int count)
    {
        _counts[ofGroup] += count;
        if (ofGroup < group)
            First += count;
    }
}
