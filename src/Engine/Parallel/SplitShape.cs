namespace LocalLlm.Parallel;

/// <summary>A width of a model that the ranks of a group split evenly.</summary>
/// <param name="Name">The width's field in config.json.</param>
/// <param name="Size">Number of elements.</param>
internal readonly record struct SplitWidth(string Name, int Size)
{
    /// <summary>Whether this is a width of routed experts, which the ranks of all data-parallel groups of a stage split.</summary>
    public bool IsOfExperts { get; init; }
}

/// <summary>The counts of a model that ranks split, and that must therefore be divisible. Nothing about its weights.</summary>
/// <param name="Layers">Number of decoder layers.</param>
/// <param name="Heads">Number of query heads.</param>
/// <param name="KvHeads">Number of key and value heads; 0: every rank keeps the same latent vectors of a token.</param>
/// <param name="Widths">Widths of the MLPs.</param>
internal sealed record SplitShape(int Layers, int Heads, int KvHeads, IReadOnlyList<SplitWidth> Widths)
{
    /// <summary>Number of routed experts of a layer; 0: the model has none.</summary>
    public int Experts { get; init; }

    /// <summary>
    /// The first layer whose experts are stored in different formats, where the layer of multi-token prediction comes after all others;
    /// null: none.
    /// </summary>
    public int? MixedExpertLayer { get; init; }

    /// <summary>Number of key and value heads on one rank of a group of <paramref name="tensorParallel"/> ranks.</summary>
    public int KvHeadsPerRank(int tensorParallel) => KvHeads == 0 ? 0 : Math.Max(1, KvHeads / tensorParallel);

    /// <summary>Why layers cannot be split over so many ranks: one text for each reason.</summary>
    public IEnumerable<string> FaultsOfTensorParallel(int ranks)
    {
        if (Heads % ranks != 0)
            yield return $"the model's {Heads} attention heads are not divisible by {ranks}";
        if (KvHeads > 0 && (KvHeads >= ranks ? KvHeads % ranks : ranks % KvHeads) != 0)
            yield return KvHeads >= ranks
                ? $"the model's {KvHeads} key and value heads are not divisible by {ranks}"
                : $"{ranks} ranks cannot share the model's {KvHeads} key and value heads evenly";
        foreach (var width in Widths)
        {
            if (width.Size % ranks != 0)
                yield return $"{width.Name} ({width.Size}) is not divisible by {ranks}";
        }
    }

    /// <summary>
    /// Why so many groups cannot share the experts: one text for each reason. Empty if the number of ranks in a group is the fault.
    /// </summary>
    /// <param name="tensorParallel">Number of ranks in a group.</param>
    /// <param name="groups">Number of data-parallel groups.</param>
    public IEnumerable<string> FaultsOfDataParallel(int tensorParallel, int groups)
    {
        if (groups == 1)
            yield break;
        if (Experts == 0)
            yield return "the model has no experts that the groups could share; start a replica for each behind a load balancer, and leave it out";
        var ranks = tensorParallel * groups;
        foreach (var width in Widths)
        {
            if (width.IsOfExperts && width.Size % ranks != 0 && width.Size % tensorParallel == 0)
                yield return $"{width.Name} ({width.Size}) is not divisible by the {ranks} ranks that experts are split over; give each rank whole experts (enable_expert_parallel), or choose a size that divides it";
        }
    }

    /// <summary>Whether layers can be split over so many ranks.</summary>
    public bool Allows(int tensorParallel) => !FaultsOfTensorParallel(tensorParallel).Any();

    /// <summary>The tensor-parallel sizes that the model allows, ascending.</summary>
    public IEnumerable<int> TensorParallelSizes() => Enumerable.Range(1, Math.Min(Heads, ParallelRules.MaxRanks)).Where(Allows);
}
