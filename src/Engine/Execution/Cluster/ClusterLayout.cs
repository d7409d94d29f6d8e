using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>Which processes a replica has, and which ranks each holds. Pure.</summary>
/// <param name="Plan">How the model is spread; its nodes are the processes that hold ranks.</param>
/// <param name="HubHoldsRanks">Whether the process with the engine loop is node 0 of the plan; false: it holds no ranks, and every node is
/// another process.</param>
internal sealed record ClusterLayout(ParallelPlan Plan, bool HubHoldsRanks)
{
    /// <summary>Whether the options ask for several processes.</summary>
    public static bool IsNeeded(EngineOptions options) => options.Nodes > 1 || options.UsesProcesses;

    /// <summary>What checked options ask for.</summary>
    public static ClusterLayout Of(EngineOptions options) => options.UsesProcesses
        ? new(new(options.TensorParallel, options.PipelineParallel, options.TensorParallel * options.PipelineParallel) { LayersPerStage = options.PipelineLayers }, HubHoldsRanks: false)
        : new(new(options.TensorParallel, options.PipelineParallel, options.Nodes) { LayersPerStage = options.PipelineLayers }, HubHoldsRanks: true);

    /// <summary>The nodes that join the engine loop's process.</summary>
    public IReadOnlyList<int> RemoteNodes => [.. Enumerable.Range(0, Plan.Nodes).Where(node => node > 0 || !HubHoldsRanks)];

    /// <summary>The node whose rank chooses tokens.</summary>
    public int SamplingNode => Plan.PlaceOf(Plan.SamplingRank).Node;

    /// <summary>What a node is called in messages.</summary>
    public string NameOf(int node) => HubHoldsRanks ? $"node {node} of {Plan.Nodes}" : $"rank {node} of {Plan.Nodes}";

    /// <summary>Whether a rank lives on <paramref name="node"/>.</summary>
    public bool IsOn(int node, int rank) => rank >= 0 && rank < Plan.WorldSize && Plan.PlaceOf(rank).Node == node;
}
