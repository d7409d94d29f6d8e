namespace LocalLlm.Execution.Cluster;

/// <summary>The KV cache that fits on every device: the fewest blocks, the shortest length.</summary>
internal static class AgreedPlan
{
    /// <summary>What fits everywhere; of the rest the first plan's.</summary>
    public static MemoryPlan Of(IReadOnlyList<MemoryPlan> plans) =>
        Apply(plans[0], plans.MinBy(plan => plan.NumBlocks)! with { MaxModelLen = plans.Min(plan => plan.MaxModelLen) });

    /// <summary>A plan of one device with the blocks and the length of another.</summary>
    public static MemoryPlan Apply(MemoryPlan own, MemoryPlan agreed) => own with
    {
        NumBlocks = agreed.NumBlocks,
        KvCacheBytes = agreed.NumBlocks * own.BytesPerBlock,
        MaxModelLen = agreed.MaxModelLen,
        Note = own.MaxModelLen == agreed.MaxModelLen ? own.Note : agreed.Note ?? own.Note,
    };
}
