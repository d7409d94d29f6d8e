namespace LocalLlm.Layers;

/// <summary>
/// Chooses how often each expert exists and on which rank, from how many tokens each computed, as the published expert-parallel load
/// balancer (EPLB) does for one group of ranks that all reach each other alike; its levels of groups and nodes are left out. Pure: the same
/// loads give the same placement.
/// </summary>
internal static class ExpertBalancer
{
    /// <summary>Chooses.</summary>
    /// <param name="loads">Tokens of each expert.</param>
    /// <param name="ranks">Number of ranks.</param>
    /// <param name="places">Experts that each rank holds; at least all experts, at most each on every rank.</param>
    public static ExpertPlacement Choose(ReadOnlySpan<long> loads, int ranks, int places)
    {
        var experts = loads.Length;
        if ((long)ranks * places < experts || places > experts)
            throw new ArgumentOutOfRangeException(nameof(places), places, $"{ranks} ranks cannot hold {experts} experts in so many places each");
        var copies = Replicate(loads, ranks, places);
        var held = Pack(loads, copies, ranks, places);
        return new(experts, [.. held.Select(list => (IReadOnlyList<int>)[.. list.Order()])]);
    }

    // One more copy for the expert with the most tokens a copy, until all places are taken; no more than one for each rank.
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

    // By tokens a copy; where those are the same (none was measured) the one with fewer copies. Products, so that nothing is rounded.
    private static bool IsBusier(ReadOnlySpan<long> loads, int[] copies, int one, int other)
    {
        var (left, right) = ((Int128)loads[one] * copies[other], (Int128)loads[other] * copies[one]);
        return left > right || (left == right && copies[one] < copies[other]);
    }

    // The busiest copy first, each onto the rank with the least load that has a place and no copy of it.
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

        // Every rank with a place has a copy already: a full one without gives away the last that one of those lacks.
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
