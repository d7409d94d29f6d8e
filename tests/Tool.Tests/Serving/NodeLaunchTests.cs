using LocalLlm.Tool.Serving;
using Xunit;

namespace LocalLlm.Tool.Tests.Serving;

/// <summary>Which node a process is, by the command line and the launchers' environment variables together.</summary>
public class NodeLaunchTests
{
    [Fact]
    public void Without_any_source_there_is_one_node() => Assert.Equal(new(1, 0, null), Resolve());

    [Fact]
    public void The_command_line_says_it_all() => Assert.Equal(new(2, 1, "h0"), NodeLaunch.Resolve(2, 1, "h0", _ => null));

    [Fact]
    public void LeaderWorkerSet_says_it_all() =>
        Assert.Equal(new(3, 2, "lws-0.lws"), Resolve("LWS_GROUP_SIZE=3", "LWS_WORKER_INDEX=2", "LWS_LEADER_ADDRESS=lws-0.lws"));

    [Theory]
    [InlineData("gpu[03-07,11],login2", "gpu03")]
    [InlineData("gpu[03,07]", "gpu03")]
    [InlineData("a1,b2", "a1")]
    [InlineData("rack[1-2]-gpu", "rack1-gpu")]
    public void Slurm_says_it_all(string list, string first) =>
        Assert.Equal(new(2, 1, first), Resolve("SLURM_NNODES=2", "SLURM_NODEID=1", $"SLURM_JOB_NODELIST={list}"));

    [Fact]
    public void The_command_line_may_repeat_the_launcher() =>
        Assert.Equal(new(2, 1, "other"), NodeLaunch.Resolve(2, null, "other", Of("SLURM_NNODES=2", "SLURM_NODEID=1", "SLURM_JOB_NODELIST=a,b")));

    [Theory]
    [InlineData(3, null, "--nnodes is 3, but SLURM_NNODES is 2")]
    [InlineData(2, 0, "--node-rank is 0, but SLURM_NODEID is 1")]
    public void The_command_line_may_not_contradict_the_launcher(int? nodes, int? rank, string message) => Assert.StartsWith(
        message, Assert.Throws<UsageException>(() => NodeLaunch.Resolve(nodes, rank, "h", Of("SLURM_NNODES=2", "SLURM_NODEID=1"))).Message, StringComparison.Ordinal);

    [Fact]
    public void Two_launchers_may_not_contradict_each_other() => Assert.StartsWith(
        "SLURM_NODEID is 1, but LWS_WORKER_INDEX is 0",
        Assert.Throws<UsageException>(() => Resolve("LWS_GROUP_SIZE=2", "LWS_WORKER_INDEX=0", "LWS_LEADER_ADDRESS=h", "SLURM_NNODES=2", "SLURM_NODEID=1")).Message,
        StringComparison.Ordinal);

    [Fact]
    public void One_node_on_purpose_ignores_the_allocation() => Assert.Equal(new(1, 0, null), NodeLaunch.Resolve(1, null, null, Of("SLURM_NNODES=2", "SLURM_NODEID=1")));

    [Fact]
    public void Several_tasks_on_a_node_are_refused() =>
        Assert.Contains("--ntasks-per-node=1", Assert.Throws<UsageException>(() => Resolve("SLURM_NNODES=2", "SLURM_NODEID=1", "SLURM_LOCALID=1")).Message, StringComparison.Ordinal);

    [Fact]
    public void Somebody_has_to_name_node_0() =>
        Assert.StartsWith("--master-addr is missing", Assert.Throws<UsageException>(() => NodeLaunch.Resolve(2, 1, null, _ => null)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_rank_beyond_the_nodes_is_refused() =>
        Assert.StartsWith("--node-rank: 2 is out of range", Assert.Throws<UsageException>(() => NodeLaunch.Resolve(2, 2, "h", _ => null)).Message, StringComparison.Ordinal);

    [Fact]
    public void Text_in_the_place_of_a_number_is_named() =>
        Assert.StartsWith("SLURM_NNODES is 'two'", Assert.Throws<UsageException>(() => Resolve("SLURM_NNODES=two")).Message, StringComparison.Ordinal);

    [Fact]
    public void Mpirun_counts_only_with_several_processes()
    {
        Assert.Equal((1, 2), NodeLaunch.Mpi(Of("OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=1")));
        Assert.Null(NodeLaunch.Mpi(Of("OMPI_COMM_WORLD_SIZE=1", "OMPI_COMM_WORLD_RANK=0")));
    }

    private static NodeLaunch Resolve(params string[] variables) => NodeLaunch.Resolve(null, null, null, Of(variables));

    private static Func<string, string?> Of(params string[] variables) =>
        name => variables.FirstOrDefault(variable => variable.StartsWith(name + "=", StringComparison.Ordinal))?[(name.Length + 1)..];
}
