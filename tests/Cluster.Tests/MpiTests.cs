using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>Ranks as processes of one mpirun: their sums equal those of threads bit by bit, over shared memory and over TCP.</summary>
public class MpiTests
{
    private static readonly string[] OverTcp = ["--mca", "pml", "ob1", "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo"];

    [Theory]
    [InlineData(2, false)]
    [InlineData(4, false)]
    [InlineData(2, true)]
    public async Task Sums_gathers_and_links_are_those_of_threads(int ranks, bool overTcp)
    {
        var run = await Mpirun.RunAsync(ranks, overTcp ? OverTcp : [], "mpi", "sums", "gathers", "links");
        Assert.True(run.ExitCode == 0, run.Output);
        for (var rank = 0; rank < ranks; rank++)
            Assert.Contains($"rank {rank} of {ranks}: sums, gathers, links ok", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_abort_from_another_thread_ends_a_wait() =>
        Assert.Contains("rank 0 of 2: abort ok", (await Mpirun.RunAsync(2, [], "mpi", "abort")).Output, StringComparison.Ordinal);
}
