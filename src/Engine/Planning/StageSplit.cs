namespace LocalLlm.Planning;

/// <summary>How many ranks the weights of a stage are split over.</summary>
/// <param name="Tensor">Ranks of a group, which split all but routed experts.</param>
/// <param name="Groups">Data-parallel groups; the ranks of all of them split routed experts.</param>
internal readonly record struct StageSplit(int Tensor, int Groups)
{
    /// <summary>One device.</summary>
    public static StageSplit None => new(1, 1);

    /// <summary>Ranks of the stage.</summary>
    public int Ranks => Tensor * Groups;

    /// <summary>Ranks that split a part.</summary>
    public int RanksOf(WeightPart part) => part.IsOfExperts ? Ranks : Tensor;
}
