using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// How many tokens each data-parallel group computes in the current step. Every rank reads this from the step, so the groups exchange
/// rows without first exchanging their numbers.
/// </summary>
/// <param name="group">This rank's group.</param>
/// <param name="groups">Number of groups.</param>
internal sealed class GroupRows(int group, int groups)
{
    private readonly int[] _counts = new int[groups];

    /// <summary>The number of tokens of each group.</summary>
    public IReadOnlyList<int> Counts => _counts;

    /// <summary>The number of tokens of this rank's group.</summary>
    public int Own => _counts[group];

    /// <summary>Index of this group's first row among the rows of all groups.</summary>
    public int First { get; private set; }

    /// <summary>Clears the last step's numbers.</summary>
    public void Clear()
    {
        Array.Clear(_counts);
        First = 0;
    }

    /// <summary>
    /// Joins the rows of all groups, from a tensor that has room for the largest group's rows in each group's place. Unused rows at the
    /// end of each place are left out.
    /// </summary>
    /// <param name="laid">[groups · max rows of a group, width], contiguous.</param>
    /// <param name="rows">Number of rows of each group; at least one is above 0.</param>
    /// <returns>[rows of all groups, width], contiguous, of the current dispose scope; may share the memory of
    /// <paramref name="laid"/>.</returns>
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
