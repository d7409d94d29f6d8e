namespace LocalLlm.Layers;

/// <summary>
/// Chooses how many copies of each expert exist and which ranks hold them, from the number of tokens that each expert computed. This is
/// the published expert-parallel load balancer (EPLB) for one group of ranks that all reach each other equally fast; its levels of groups
/// and nodes are left out. Pure: the same loads give the same placement.
/// </summary>
internal static class ExpertBalancer
{
    /// <summary>Chooses a placement.</summary>
    /// <param name="loads">Tokens of each expert.</param>
    /// <param name="ranks">Number of ranks.</param>
    /// <param name="places">Experts that each rank holds: enough for all experts on all ranks together, at most all experts.</param>
    public static ExpertPlacement Choose(ReadOnlySpan<long> loads, int ranks, int places)
    {
        var experts = loads.Length;
        if ((long)ranks * places < experts || places > experts)
            throw new ArgumentOutOfRangeException(nameof(places), places, $"{ranks} ranks cannot hold {experts} experts in so many places each");
        var copies = Replicate(loads, ranks, places);
        var held = Pack(loads, copies, ranks, places);
        return new(experts, [.. held.Select(list => (IReadOnlyList<int>)[.. list.Order()])]);
    }

    // Until all places are taken, adds a copy of the expert with the most tokens per copy; at most one copy on each rank.
    private static int[] Replicate(ReadOnlySpan<long> loads, int ranks, int places)
    {
        var copies = new int[loads.Length];
        Array.Fill(copies, 1);
        for (var left = (ranks * places) - loads.Length; left > 0; left--)
        {
            var busiest = -1;
            for (var expert = 0; expert < loads.Length; expert++)
            {
                if (copies[expert] < ranks && (busiest < 0 || IsBusier(loads, copies, expert, busiest)))
                    busiest = expert;
            }

            copies[busiest]++;
        }

        return copies;
    }

    // Compares tokens per copy. On a tie (nothing was measured) the expert with fewer copies wins. Products avoid rounding.
    private static bool IsBusier(ReadOnlySpan<long> loads, int[] copies, int one, int other)
    {
        var (left, right) = ((Int128)loads[one] * copies[other], (Int128)loads[other] * copies[one]);
        return left > right || (left == right && copies[one] < copies[other]);
    }

    // Takes the busiest copy first and gives it to the least loaded rank that has a free place and no copy of this expert.
    private static List<int>[] Pack(ReadOnlySpan<long> loads, int[] copies, int ranks, int places)
    {
        var ofCopy = new double[loads.Length];
        for (var expert = 0; expert < ofCopy.Length; expert++)
            ofCopy[expert] = (double)loads[expert] / copies[expert];
        var held = Enumerable.Range(0, ranks).Select(_ => new List<int>(places)).ToArray();
        var sums = new double[ranks];
        foreach (var expert in Enumerable.Range(0, ofCopy.Length).OrderByDescending(expert => ofCopy[expert]).ThenBy(expert => expert))
        {
            for (var copy = 0; copy < copies[expert]; copy++)
            {
                var rank = MinLoaded(rank => held[rank].Count < places && !held[rank].Contains(expert));
                if (rank < 0)
                    rank = MakePlace(expert);
                held[rank].Add(expert);
                sums[rank] += ofCopy[expert];
            }
        }

        return held;

        int MinLoaded(Func<int, bool> fits)
        {
            var best = -1;
            for (var rank = 0; rank < ranks; rank++)
            {
                if (fits(rank) && (best < 0 || sums[rank] < sums[best]))
                    best = rank;
            }

            return best;
        }

        // Every rank with a free place already has a copy. So a full rank without a copy gives one of its experts to the least loaded of
        // them: the last one that this rank lacks.
        int MakePlace(int expert)
        {
            var free = MinLoaded(rank => held[rank].Count < places);
            var full = MinLoaded(rank => !held[rank].Contains(expert) && held[rank].Exists(other => !held[free].Contains(other)));
            var moved = held[full].FindLast(other => !held[free].Contains(other));
            held[full].Remove(moved);
            held[free].Add(moved);
            sums[full] -= ofCopy[moved];
            sums[free] += ofCopy[moved];
            return full;
        }
    }
}
