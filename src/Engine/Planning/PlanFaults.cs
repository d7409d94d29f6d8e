using System.Globalization;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>Why a possible plan does not fit: the option to blame, the memory that exists and the memory that is needed.</summary>
internal static class PlanFaults
{
    /// <summary>The fault of an estimate that does not fit.</summary>
    public static ParallelFault TooSmall(CapacityEstimate estimate, CapacityPlanner capacity)
    {
        var stage = estimate.Fullest;
        return estimate.Settings.GivesCache && stage.FreeBytes >= 0 ? WrongCache(estimate, stage) : TooFew(estimate, stage, capacity);
    }

    private static ParallelFault TooFew(CapacityEstimate estimate, StageEstimate stage, CapacityPlanner capacity)
    {
        var plan = estimate.Plan;
        var where = RankOf(estimate, stage);
        var budget = $"{PlanTexts.Size(stage.RoomBytes)} of {PlanTexts.Size(stage.Card.MemoryBytes)} may be used";
        var what = $"{plan.WorldSize} x {PlanTexts.CardNames(capacity.Cards)} {(plan.WorldSize == 1 ? "has" : "have")} too little memory for this model: {where} has {Held(stage)}, and {budget}";
        var why = stage.FreeBytes < 0
            ? $"{PlanTexts.Size(-stage.FreeBytes)} are missing even without a KV cache"
            : string.Create(CultureInfo.InvariantCulture, $"the {PlanTexts.Size(stage.FreeBytes)} that are left hold {estimate.KvTokens:N0} tokens of KV cache, and {estimate.WantedTokens:N0} are wanted");
        var memory = Enumerable.Range(0, plan.PipelineParallel).Sum(index => (double)capacity.CardOf(index).MemoryBytes * plan.RanksPerStage);
        var all = $"all weights are {PlanTexts.Size(capacity.RankBytes(StageSplit.None))}, all devices have {PlanTexts.Size(memory)}";
        var isPipeline = plan is { TensorParallel: 1, PipelineParallel: > 1 };
        return new(isPipeline ? "pipeline_parallel_size" : "tensor_parallel_size", $"is {(isPipeline ? plan.PipelineParallel : plan.TensorParallel)}, but {what}; {why} ({all})");
    }

    // The requested cache size is too large for the device, or too small for the length.
    private static ParallelFault WrongCache(CapacityEstimate estimate, StageEstimate stage)
    {
        var block = CapacityPlanner.BlockSize * stage.KvBytesPerToken;
        var (option, asked, limit) = estimate.Settings.KvBlocks is { } blocks
            ? ("num_gpu_blocks_override", blocks * block, stage.FreeBytes / block)
            : ("kv_cache_memory_bytes", estimate.Settings.KvCacheBytes!.Value, stage.FreeBytes);
        var isBlocks = estimate.Settings.KvBlocks is not null;
        var found = isBlocks ? Text($"is {estimate.Settings.KvBlocks:N0} ({PlanTexts.Size(asked)})") : $"is {PlanTexts.Size(asked)}";
        if (asked > stage.FreeBytes)
        {
            var most = isBlocks ? Text($"{limit:N0} blocks") : Text($"{limit} bytes");
            return new(option, $"{found}, but {RankOf(estimate, stage)} has {PlanTexts.Size(stage.FreeBytes)} left of {PlanTexts.Size(stage.RoomBytes)} beside {Held(stage)}; allowed: at most {most}");
        }

        var needed = (estimate.WantedTokens + CapacityPlanner.BlockSize - 1) / CapacityPlanner.BlockSize;
        var least = isBlocks ? Text($"{needed:N0} blocks") : Text($"{needed * block} bytes");
        return new(option, Text($"{found} and holds {stage.KvTokens:N0} tokens of KV cache, but {estimate.WantedTokens:N0} are wanted; allowed: at least {least}"));
    }

    private static string RankOf(CapacityEstimate estimate, StageEstimate stage) =>
        estimate.Stages.Count == 1 ? "a rank" : $"a rank of stage {estimate.Stages.ToList().IndexOf(stage)} ({stage.Layers} layers)";

    private static string Held(StageEstimate stage) => $"{PlanTexts.Size(stage.WeightBytes)} of weights and {PlanTexts.Size(stage.ActivationBytes + stage.GraphBytes)} of activations";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
