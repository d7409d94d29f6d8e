namespace LocalLlm.Parallel;

/// <summary>
/// How all ranks of all stages agree on the size of the KV cache, and of the largest step that is recorded: padding is the same on all.
/// </summary>
internal interface IMemoryAgreement
{
    /// <summary>
    /// Waits until every rank of this process is here: what ranks have taken of a device that they share can be measured then.
    /// </summary>
    /// <exception cref="RankFailedException">Another rank has failed meanwhile.</exception>
    void Meet()
    {
    }

    /// <summary>Waits until every rank has said what fits on its own device.</summary>
    /// <param name="own">What fits here.</param>
    /// <returns>The plan of this rank with the fewest blocks, the shortest length and the fewest recorded rows of all.</returns>
    /// <exception cref="RankFailedException">Another rank has failed meanwhile.</exception>
    MemoryPlan Agree(MemoryPlan own);
}
