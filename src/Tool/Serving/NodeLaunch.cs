using System.Globalization;

namespace LocalLlm.Tool.Serving;

/// <summary>
/// The number of nodes, which node this process is, and where node 0 is. The values come from the command line, or from the
/// environment that launchers set for the processes they start.
/// </summary>
/// <param name="Nodes">Number of nodes.</param>
/// <param name="NodeRank">The rank of this node, from 0.</param>
/// <param name="MasterAddress">Name or address of node 0; null: not given.</param>
internal sealed record NodeLaunch(int Nodes, int NodeRank, string? MasterAddress)
{
    /// <summary>Combines all sources. Pure.</summary>
    /// <param name="nodes"><c>--nnodes</c>, or null.</param>
    /// <param name="nodeRank"><c>--node-rank</c>, or null.</param>
    /// <param name="masterAddress"><c>--master-addr</c>, or null.</param>
    /// <param name="variable">The environment.</param>
    /// <exception cref="UsageException">Two sources contradict each other, or a value is invalid.</exception>
    public static NodeLaunch Resolve(int? nodes, int? nodeRank, string? masterAddress, Func<string, string?> variable)
    {
        var sources = new List<Source>();
        if (LeaderWorkerSet(variable) is { } group)
            sources.Add(group);
        if (Slurm(variable) is { } slurm)
            sources.Add(slurm);
        // A user may start a single node on purpose inside a larger allocation.
        if (nodes is not 1)
            Agree(sources);
        var launcher = sources.Count > 0 && nodes is not 1 ? sources[0] : null;
        Check("--nnodes", nodes, launcher?.Nodes, launcher?.NodesName);
        Check("--node-rank", nodeRank, launcher?.NodeRank, launcher?.RankName);
        var launch = new NodeLaunch(nodes ?? launcher?.Nodes ?? 1, nodeRank ?? launcher?.NodeRank ?? 0, masterAddress ?? launcher?.MasterAddress);
        if (launch.Nodes < 1)
            throw new UsageException($"--nnodes: {launch.Nodes} is out of range; allowed: 1 or more");
        if (launch.NodeRank < 0 || launch.NodeRank >= launch.Nodes)
            throw new UsageException($"--node-rank: {launch.NodeRank} is out of range; allowed: 0 to {launch.Nodes - 1}, as there are {launch.Nodes} nodes (--nnodes)");
        if (launch is { Nodes: > 1, MasterAddress: null })
            throw new UsageException("--master-addr is missing: name the host of node 0 as all nodes reach it, the same on each of them");
        return launch;
    }

    /// <summary>The values that Open MPI's mpirun sets for the processes it starts.</summary>
    /// <param name="variable">The environment.</param>
    /// <returns>Rank and number of processes; null: mpirun did not start this process, or started it alone.</returns>
    public static (int Rank, int Size)? Mpi(Func<string, string?> variable) =>
        Number(variable, "OMPI_COMM_WORLD_SIZE") is > 1 and var size && Number(variable, "OMPI_COMM_WORLD_RANK") is { } rank ? (rank, size) : null;

    private static Source? LeaderWorkerSet(Func<string, string?> variable) => Number(variable, "LWS_GROUP_SIZE") is > 1 and var size
        ? new("LWS_GROUP_SIZE", size, "LWS_WORKER_INDEX", Number(variable, "LWS_WORKER_INDEX") ?? 0, Text(variable, "LWS_LEADER_ADDRESS"))
        : null;

    private static Source? Slurm(Func<string, string?> variable)
    {
        if ((Number(variable, "SLURM_STEP_NUM_NODES") ?? Number(variable, "SLURM_NNODES")) is not (> 1 and var nodes) || Number(variable, "SLURM_NODEID") is not { } rank)
            return null;
        if (Number(variable, "SLURM_LOCALID") is > 0 and var local)
            throw new UsageException($"SLURM_LOCALID is {local}: Slurm has started several tasks on this node; start one for each node (srun --ntasks-per-node=1), which uses all of its devices");
        return new("SLURM_NNODES", nodes, "SLURM_NODEID", rank, FirstHost(Text(variable, "SLURM_STEP_NODELIST") ?? Text(variable, "SLURM_JOB_NODELIST") ?? Text(variable, "SLURM_NODELIST")));
    }

    // "gpu[03-07,11],login2" → "gpu03".
    private static string? FirstHost(string? list)
    {
        if (list is null)
            return null;
        var open = list.IndexOf('[', StringComparison.Ordinal);
        var comma = list.IndexOf(',', StringComparison.Ordinal);
        if (open < 0 || (comma >= 0 && comma < open))
            return comma < 0 ? list : list[..comma];
        var end = list.IndexOfAny(['-', ',', ']'], open);
        var close = list.IndexOf(']', open);
        return end < 0 || close < 0 ? null : list[..open] + list[(open + 1)..end] + list[(close + 1)..].Split(',')[0];
    }

    private static void Agree(List<Source> sources)
    {
        if (sources is not [var first, var second, ..])
            return;
        Check(second.NodesName, second.Nodes, first.Nodes, first.NodesName);
        Check(second.RankName, second.NodeRank, first.NodeRank, first.RankName);
    }

    private static void Check(string name, int? given, int? launched, string? launchedName)
    {
        if (given is { } one && launched is { } other && one != other)
            throw new UsageException($"{name} is {one}, but {launchedName} is {other}: one of them is wrong; leave {(name[0] == '-' ? name : launchedName)} out");
    }

    private static string? Text(Func<string, string?> variable, string name) => variable(name) is { Length: > 0 } text ? text : null;

    private static int? Number(Func<string, string?> variable, string name)
    {
        if (Text(variable, name) is not { } text)
            return null;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new UsageException($"{name} is '{text}', which is not a number; it is set by a launcher: unset it, or correct it");
    }

    private sealed record Source(string NodesName, int Nodes, string RankName, int NodeRank, string? MasterAddress);
}
