using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>The real program: nodes, ranks as processes, mpirun, and how all of them end.</summary>
public class ServeTests
{
    private const int Tokens = 24;
    // Ends a test that would wait forever; eng/test-faults.sh measures how long each end takes.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);
    private static Task<int[]>? s_oneRank;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Two_nodes_in_two_network_namespaces_give_the_ids_of_one_rank(int tensorParallel)
    {
        await using var hosts = await Namespaces.CreateAsync();
        await using var first = StartNode(0, hosts.Address, hosts.On(0), 2, tensorParallel: tensorParallel);
        await using var second = StartNode(1, hosts.Address, hosts.On(1), 2, tensorParallel: tensorParallel);
        await first.ReadyAsync();
        Assert.Equal(await OneRankAsync(), await first.GreedyAsync("Once upon a time", Tokens));
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(1, 2)]
    [InlineData(2, 2)]
    public async Task A_process_for_each_rank_gives_the_ids_of_one_rank(int tensorParallel, int pipelineParallel)
    {
        Assert.SkipUnless(tensorParallel == 1 || Mpirun.IsThere, "Open MPI is not installed (apt-get install openmpi-bin)");
        await using var server = ServeProcess.Start([], "--distributed-executor-backend", "processes", "-tp", Text(tensorParallel), "-pp", Text(pipelineParallel));
        await server.ReadyAsync();
        Assert.Equal(await OneRankAsync(), await server.GreedyAsync("Once upon a time", Tokens));
        await ServeProcess.SignalAsync("TERM", server.Id);
        Assert.Equal(0, await server.ExitAsync(Patience));
        Assert.Empty(server.Processes());
    }

    [Fact]
    public async Task Under_mpirun_the_front_end_outlives_the_ranks_and_says_what_happened()
    {
        await using var server = ServeProcess.Start(Mpirun.Line(2, []), "-tp", "2", "--master-port", Text(Replica.FreePort()));
        await server.ReadyAsync();
        Assert.Equal(await OneRankAsync(), await server.GreedyAsync("Once upon a time", Tokens));
        var streams = Enumerable.Range(0, 8).Select(i => server.StreamAsync($"Request {i}", 450)).ToArray();
        await server.GreedyAsync("Once", 2);
        var mpirun = server.Processes().Except(server.Programs()).Single();
        var rank = server.Programs().First(program => ParentOf(program) == mpirun);
        await ServeProcess.SignalAsync("KILL", rank);
        await AssertDeadAsync(server);
        Assert.All(await Task.WhenAll(streams), end => Assert.Contains(end, (string[])["engine_dead", "complete"]));
        await server.ExitAsync(Patience);
        await AssertGoneAsync(server);
    }

    [Theory]
    [InlineData("KILL", "60")] // noticed by the broken connection
    [InlineData("STOP", "3")]
    public async Task A_node_that_dies_or_hangs_ends_the_server_with_70(string signal, string heartbeat)
    {
        var port = Replica.FreePort();
        await using var first = StartNode(0, "127.0.0.1", [], 2, port, heartbeat: heartbeat);
        await using var second = StartNode(1, "127.0.0.1", [], 2, port, heartbeat: heartbeat);
        await first.ReadyAsync();
        var streams = Enumerable.Range(0, 8).Select(i => first.StreamAsync($"Request {i}", 450)).ToArray();
        await first.GreedyAsync("Once", 2);
        await ServeProcess.SignalAsync(signal, second.Id);
        await AssertDeadAsync(first);
        Assert.All(await Task.WhenAll(streams), end => Assert.Contains(end, (string[])["engine_dead", "complete"]));
        Assert.Equal(70, await first.ExitAsync(Patience));
    }

    [Fact]
    public async Task A_cable_that_is_pulled_ends_both_nodes_with_70()
    {
        await using var hosts = await Namespaces.CreateAsync();
        await using var first = StartNode(0, hosts.Address, hosts.On(0), 2, heartbeat: "3");
        await using var second = StartNode(1, hosts.Address, hosts.On(1), 2, heartbeat: "3");
        await first.ReadyAsync();
        await hosts.CutAsync();
        await AssertDeadAsync(first);
        Assert.Equal(70, await first.ExitAsync(Patience));
        Assert.Equal(70, await second.ExitAsync(Patience));
    }

    [Fact]
    public async Task A_server_that_dies_takes_its_nodes_with_it()
    {
        var port = Replica.FreePort();
        await using var first = StartNode(0, "127.0.0.1", [], 2, port);
        await using var second = StartNode(1, "127.0.0.1", [], 2, port);
        await first.ReadyAsync();
        await ServeProcess.SignalAsync("KILL", first.Id);
        Assert.Equal(70, await second.ExitAsync(Patience));
    }

    private static ServeProcess StartNode(int rank, string address, string[] before, int nodes, int port = 29555, int tensorParallel = 1, string heartbeat = "20") => ServeProcess.Start(
        before, "-tp", Text(tensorParallel), "-pp", Text(nodes), "--nnodes", Text(nodes), "--node-rank", Text(rank), "--master-addr", address, "--master-port", Text(port), "--cluster-token", "of the test", "--node-heartbeat", heartbeat);

    private static async Task AssertDeadAsync(ServeProcess server)
    {
        var begin = Stopwatch.GetTimestamp();
        while (await server.StatusAsync("/health") is { } status && status != 503)
        {
            Assert.True(Stopwatch.GetElapsedTime(begin) < Patience, $"/health still says {status}:\n{server.Output}");
            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }

        Assert.Equal(503, await server.StatusAsync("/health"));
    }

    private static async Task AssertGoneAsync(ServeProcess server)
    {
        var begin = Stopwatch.GetTimestamp();
        while (server.Processes().Length > 0 && Stopwatch.GetElapsedTime(begin) < Patience)
            await Task.Delay(TimeSpan.FromMilliseconds(100));
        Assert.Empty(server.Processes());
    }

    private static int ParentOf(int process) =>
        int.Parse(File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith("PPid:", StringComparison.Ordinal))[5..], NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static Task<int[]> OneRankAsync() => s_oneRank ??= LoadAsync();

    private static async Task<int[]> LoadAsync()
    {
        await using var engine = await LlmEngine.LoadAsync(Replica.Options);
        return await Replica.GreedyAsync(engine, "Once upon a time", Tokens);
    }
}
