namespace LocalLlm.Parallel;

/// <summary>
/// Lets all ranks of all stages agree on the size of the KV cache, and on the largest recorded step, because padding is the same on all
/// ranks.
/// </summary>
internal interface IMemoryAgreement
{
    /// <summary>
    /// Waits until every rank of this process is here. Ranks that share a device can then measure how much memory all of them have taken.
    /// </summary>
    /// <exception cref="RankFailedException">Another rank has failed.</exception>
    void Meet()
    {
    }

    /// <summary>Waits until every rank has reported what fits on its own device.</summary>
    /// <param name="own">What fits on this rank's device.</param>
    /// <returns>This rank's plan, with the fewest blocks, the shortest length and the fewest recorded rows of all ranks.</returns>
    /// <exception cref="RankFailedException">Another rank has failed.</exception>
    MemoryPlan Agree(MemoryPlan own);
}
