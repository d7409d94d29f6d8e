namespace LocalLlm.Planning;

/// <summary>How many ranks split the weights of a stage.</summary>
/// <param name="Tensor">Ranks of a group; they split all weights except routed experts.</param>
/// <param name="Groups">Data-parallel groups; the ranks of all groups split the routed experts.</param>
internal readonly record struct StageSplit(int Tensor, int Groups)
{
    /// <summary>One device.</summary>
    public static StageSplit None => new(1, 1);

    /// <summary>Ranks of the stage.</summary>
    public int Ranks => Tensor * Groups;

    /// <summary>Number of ranks that split a part.</summary>
    public int RanksOf(WeightPart part) => part.IsOfExperts ? Ranks : Tensor;
}
