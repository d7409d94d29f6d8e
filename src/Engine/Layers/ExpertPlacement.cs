namespace LocalLlm.Layers;

/// <summary>
/// Which experts of a layer each rank holds. If several ranks hold an expert, they take its tokens in turn. Plain data.
/// </summary>
internal sealed class ExpertPlacement
{
    private readonly int[][] _ranksOf; // for each expert, ascending

    /// <param name="experts">Number of experts in the layer.</param>
    /// <param name="held">The experts that each rank holds; every expert is on at least one rank.</param>
    public ExpertPlacement(int experts, IReadOnlyList<IReadOnlyList<int>> held)
    {
        Held = held;
        var ranksOf = Enumerable.Range(0, experts).Select(_ => new List<int>()).ToArray();
        for (var rank = 0; rank < held.Count; rank++)
        {
            foreach (var expert in held[rank])
                ranksOf[expert].Add(rank);
        }

        _ranksOf = [.. ranksOf.Select(ranks => ranks.ToArray())];
        if (Array.Exists(_ranksOf, ranks => ranks.Length == 0))
            throw new ArgumentException($"expert {Array.FindIndex(_ranksOf, ranks => ranks.Length == 0)} is on no rank", nameof(held));
    }

    /// <summary>The experts that each rank holds.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Held { get; }

    /// <summary>The ranks that hold an expert, ascending.</summary>
    public ReadOnlySpan<int> RanksOf(int expert) => _ranksOf[expert];

    /// <summary>
    /// Which of an expert's tokens, in order, a rank computes: the first, and every n-th after it, where n ranks hold the expert.
    /// </summary>
    /// <returns>The index of the first token, and n.</returns>
    public (int First, int Step) ShareOf(int expert, int rank) => (Array.IndexOf(_ranksOf[expert], rank), _ranksOf[expert].Length);

    /// <summary>The placement as a rank's device needs it (<see cref="Ops.ExpertShares.Table"/>).</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="held">The expert in each of the rank's places.</param>
    public int[] TableOf(int rank, ReadOnlySpan<int> held)
    {
        var width = 1 + (2 * _ranksOf.Max(ranks => ranks.Length));
        var table = new int[_ranksOf.Length * width];
        for (var expert = 0; expert < _ranksOf.Length; expert++)
        {
            var row = table.AsSpan(expert * width, width);
            row[0] = _ranksOf[expert].Length;
            for (var copy = 0; copy < row[0]; copy++)
            {
                var holder = _ranksOf[expert][copy];
                (row[1 + (2 * copy)], row[2 + (2 * copy)]) = (holder, holder == rank ? held.IndexOf(expert) : -1);
            }
        }

        return table;
    }

    /// <summary>Adds to each rank's load the tokens that it computes.</summary>
    /// <param name="tokensOf">Returns the number of tokens of an expert.</param>
    /// <param name="loads">[ranks].</param>
    public void AddLoads(Func<int, int> tokensOf, long[] loads)
    {
        for (var expert = 0; expert < _ranksOf.Length; expert++)
        {
            var (tokens, ranks) = (tokensOf(expert), _ranksOf[expert]);
            for (var copy = 0; copy < ranks.Length; copy++)
                loads[ranks[copy]] += (tokens - copy + ranks.Length - 1) / ranks.Length;
        }
    }
}
