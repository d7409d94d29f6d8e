namespace LocalLlm.Layers;

/// <summary>
/// Which experts of a layer each rank holds; one that several ranks hold has its tokens spread over them in turn. Plain data.
/// </summary>
internal sealed class ExpertPlacement
{
    private readonly int[][] _ranksOf; // of each expert, ascending

    /// <param name="experts">Of the layer.</param>
    /// <param name="held">For each rank the experts that it holds; every expert is held.</param>
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

    /// <summary>For each rank the experts that it holds.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Held { get; }

    /// <summary>The ranks that hold an expert, ascending.</summary>
    public ReadOnlySpan<int> RanksOf(int expert) => _ranksOf[expert];

    /// <summary>
    /// Of an expert's tokens, in order, the first that a rank computes; it computes every n-th from there, n ranks holding the expert.
    /// </summary>
    /// <returns>The first token, and n.</returns>
    public (int First, int Step) ShareOf(int expert, int rank) => (Array.IndexOf(_ranksOf[expert], rank), _ranksOf[expert].Length);

    /// <summary>What a device of a rank is to know of it (<see cref="Ops.ExpertShares.Table"/>).</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="held">The expert in each of its places.</param>
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

    /// <summary>Adds how many of the tokens of each expert every rank computes.</summary>
    /// <param name="tokensOf">Tokens of an expert.</param>
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
