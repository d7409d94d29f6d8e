using LocalLlm.Execution.Cluster;

namespace LocalLlm;

/// <summary>Checks the <see cref="EngineOptions"/> for several hosts and processes. <see cref="Parallel.ParallelRules"/> checks how ranks
/// are spread over them.</summary>
internal static class NodeOptionsValidator
{
    private const int MaxPort = 65535;

    /// <summary>Reports every fault.</summary>
    /// <param name="options">The options.</param>
    /// <param name="require">Gets a condition, the option's name, and the message if the condition does not hold.</param>
    public static void Check(EngineOptions options, Action<bool, string, string> require)
    {
        require(options.DistributedExecutorBackend is "auto" or "threads" or "mp" or "uni" or EngineOptions.Processes, "distributed_executor_backend", $"is '{options.DistributedExecutorBackend}'; allowed: auto, threads (mp, uni), processes");
        require(options.NodeRank >= 0 && (options.NodeRank < options.Nodes || options.UsesProcesses), "node_rank", $"is {options.NodeRank}; 0 to {options.Nodes - 1}, as nnodes is {options.Nodes}");
        var fault = ProcessDevices.FaultOf(options);
        require(fault is null, "distributed_executor_backend", fault ?? "");
        require(!string.IsNullOrWhiteSpace(options.MasterAddress), "master_addr", "is empty; name the host of node 0");
        require(options.MasterPort is >= 0 and <= MaxPort, "master_port", $"is {options.MasterPort}; 0 to {MaxPort}");
        require(options.NodeJoinTimeout > TimeSpan.Zero && options.NodeJoinTimeout.TotalMilliseconds <= int.MaxValue, "node_join_timeout", $"is {options.NodeJoinTimeout}; above zero, at most {TimeSpan.FromMilliseconds(int.MaxValue)}");
        require(options.NodeHeartbeat >= TimeSpan.FromMilliseconds(10) && options.NodeHeartbeat <= TimeSpan.FromMinutes(1), "node_heartbeat", $"is {options.NodeHeartbeat}; 10 ms to 1 minute");
        require(options.Nodes <= 1 || !options.UsesProcesses, "distributed_executor_backend", $"is {options.DistributedExecutorBackend}, but nnodes is {options.Nodes}: use threads, or on CPUs start one process for each rank with mpirun and leave nnodes out");
        require(!options.PinThreads || !options.UsesProcesses, "pin_threads", "is set, but distributed_executor_backend is processes, and processes cannot coordinate their cores: use threads, let mpirun bind them (--bind-to core), or leave it out on GPUs");
        var isCluster = options.Nodes > 1 || options.UsesProcesses;
        require(!isCluster || options.NodeTransport is not null, options.Nodes > 1 ? "nnodes" : "distributed_executor_backend", "needs a control stream between the processes: call services.AddLocalLlmCluster() of the package LocalLlm.Cluster, or set EngineOptions.NodeTransport");
    }
}
