using System.Globalization;
using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>A process for each of two cards, connected by NCCL, behind a server that computes nothing.</summary>
public sealed class GpuProcessTests
{
    private const int Tokens = 48;
    private static readonly string[] Prompts = ["Once upon a time", "The capital of France is", "1 + 1 =", "A rank for each card"];
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    public GpuProcessTests() => Assert.SkipUnless(
        LlmEngine.CheckEnvironment().Any(check => check is { Name: "cuda:1", Status: EnvironmentCheckStatus.Ok }) && LlmEngine.CanUseCuda(),
        "wants 2 NVIDIA cards and a libtorch with CUDA");

    // Several requests at once, so that steps run ahead and are recorded in several sizes.
    [Theory]
    [InlineData(2, 1, "float32")]
    [InlineData(1, 2, "float32")]
    [InlineData(2, 1, "bfloat16")]
    public async Task Processes_give_the_ids_of_threads(int tensorParallel, int pipelineParallel, string dtype)
    {
        string[] sizes = ["--device", "cuda", "--dtype", dtype, "-tp", Text(tensorParallel), "-pp", Text(pipelineParallel)];
        int[][] expected;
        await using (var threads = ServeProcess.Start([], [.. sizes, "--distributed-executor-backend", "threads"]))
        {
            await threads.ReadyAsync();
            expected = await GreedyAsync(threads);
        }

        await using var processes = ServeProcess.Start([], [.. sizes, "--distributed-executor-backend", "processes"]);
        await processes.ReadyAsync();
        Assert.Equal(3, processes.Programs().Length); // the server, and one for each card
        Assert.Equal(expected, await GreedyAsync(processes));
        await ServeProcess.SignalAsync("TERM", processes.Id);
        Assert.Equal(0, await processes.ExitAsync(Patience));
        Assert.Empty(processes.Processes());
    }

    [Theory]
    [InlineData("KILL", "60")] // known by its connection
    [InlineData("STOP", "3")]
    public async Task A_rank_that_dies_or_hangs_ends_the_server_with_70(string signal, string heartbeat)
    {
        await using var server = ServeProcess.Start([], "--device", "cuda", "-tp", "2", "--distributed-executor-backend", "processes", "--node-heartbeat", heartbeat);
        await server.ReadyAsync();
        var streams = Enumerable.Range(0, 8).Select(i => server.StreamAsync($"Request {i}", 450)).ToArray();
        await server.GreedyAsync("Once", 2);
        await ServeProcess.SignalAsync(signal, server.Programs().Except([server.Id]).Max());
        Assert.All(await Task.WhenAll(streams), end => Assert.Contains(end, (string[])["engine_dead", "complete"]));
        Assert.Equal(70, await server.ExitAsync(Patience));
        Assert.Empty(server.Processes());
    }

    [Fact]
    public async Task A_server_that_dies_takes_its_ranks_with_it()
    {
        await using var server = ServeProcess.Start([], "--device", "cuda", "-tp", "2", "--distributed-executor-backend", "processes");
        await server.ReadyAsync();
        await ServeProcess.SignalAsync("KILL", server.Id);
        for (var waited = TimeSpan.Zero; server.Programs().Except([server.Id]).Any() && waited < Patience; waited += TimeSpan.FromMilliseconds(100))
            await Task.Delay(TimeSpan.FromMilliseconds(100), TestContext.Current.CancellationToken);
        Assert.Empty(server.Programs().Except([server.Id]));
    }

    private static async Task<int[][]> GreedyAsync(ServeProcess server) =>
        await Task.WhenAll(Prompts.Select(prompt => server.GreedyAsync(prompt, Tokens)));

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
