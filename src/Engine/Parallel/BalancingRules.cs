namespace LocalLlm.Parallel;

/// <summary>Finds the faults of requests to balance experts over ranks. Pure.</summary>
internal static class BalancingRules
{
    private const string Config = "eplb_config";
    private const string Enable = "enable_eplb";

    /// <summary>Every fault that can be found without the model.</summary>
    public static IEnumerable<ParallelFault> FaultsOf(ParallelRequest request)
    {
        if (request.Balancing is not { } balancing)
            yield break;
        if (balancing.NumRedundantExperts < 0)
            yield return new(Config, $"has num_redundant_experts {balancing.NumRedundantExperts}; 0 or more");
        if (balancing.StepInterval < 1)
            yield return new(Config, $"has step_interval {balancing.StepInterval}; 1 or more");
        if (balancing.WindowSize < 1 || balancing.WindowSize > Math.Max(1, balancing.StepInterval))
            yield return new(Config, $"has window_size {balancing.WindowSize}; 1 to step_interval ({balancing.StepInterval}), as the loads of an interval are measured at its end");
        if (!request.ExpertParallel)
            yield return new(Enable, "is set, but enable_expert_parallel is not: only whole experts are moved; set both, or none");
        if (request.IsBatchInvariant)
            yield return new(Enable, "is set, but batch_invariant is, too: the placement of experts depends on earlier steps, and the order in which a token's parts are added depends on the placement; leave one of the two out");
        if (request.TensorParallel == 1 && request.DataParallel == 1)
            yield return new(Enable, "is set, but one rank holds all experts of a stage; raise data_parallel_size or tensor_parallel_size, or leave it out");
        if (request.UsesProcesses || request.Nodes > 1)
            yield return new(Enable, $"is set, but {(request.UsesProcesses ? "distributed_executor_backend is processes" : $"nnodes is {request.Nodes}")}: experts are moved between threads of one process; leave it out");
    }

    /// <summary>Every fault that depends on the model.</summary>
    public static IEnumerable<ParallelFault> FaultsOf(ParallelRequest request, SplitShape shape)
    {
        var ranks = (long)request.TensorParallel * request.DataParallel;
        if (request.Balancing is not { NumRedundantExperts: >= 0 } balancing || shape.Experts == 0 || ranks < 2)
            yield break;
        var all = shape.Experts + (long)balancing.NumRedundantExperts;
        if (all > shape.Experts * ranks)
            yield return new(Config, $"has num_redundant_experts {balancing.NumRedundantExperts}; at most {shape.Experts * (ranks - 1)}, every expert on each of the {ranks} ranks of a stage");
        else if (all % ranks != 0)
            yield return new(Config, $"has num_redundant_experts {balancing.NumRedundantExperts}, which with the model's {shape.Experts} experts are {all}, not divisible by the {ranks} ranks of a stage; such as {balancing.NumRedundantExperts + ranks - (all % ranks)}");
        if (shape.MixedExpertLayer is { } layer && (layer < shape.Layers || request.Predicts))
            yield return new(Enable, $"is set, but config.json's quantization_config keeps some experts of layer {layer} unquantised and others not: only experts that are stored alike can change places; leave it out");
    }
}
