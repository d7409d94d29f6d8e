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
    [InlineData(2, 1)]
    [InlineData(1, 2)]
    public async Task Processes_give_the_ids_of_threads(int tensorParallel, int pipelineParallel)
    {
        string[] sizes = ["--device", "cuda", "--dtype", "float32", "-tp", Text(tensorParallel), "-pp", Text(pipelineParallel)];
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

    // Ids differ at near ties: NCCL rounds the ranks' sum before it is added to the residual stream, the kernels of threads do not.
    [Fact]
    public async Task Processes_find_answers_of_threads_as_likely_in_bfloat16()
    {
        string[] sizes = ["--device", "cuda", "--dtype", "bfloat16", "-tp", "2"];
        int[][] answers;
        double[][] expected;
        await using (var threads = ServeProcess.Start([], [.. sizes, "--distributed-executor-backend", "threads"]))
        {
            await threads.ReadyAsync();
            answers = await GreedyAsync(threads);
            expected = await Task.WhenAll(answers.Select(threads.LogprobsAsync));
        }

        await using var processes = ServeProcess.Start([], [.. sizes, "--distributed-executor-backend", "processes"]);
        await processes.ReadyAsync();
        var scored = await Task.WhenAll(answers.Select(processes.LogprobsAsync));
        var distances = expected.Zip(scored).SelectMany(pair => pair.First.Zip(pair.Second, (one, other) => Math.Abs(one - other))).ToArray();
        Assert.True(distances.Average() < 0.05, $"off by {distances.Average():F4} on average, {distances.Max():F2} at most");
    }

    [Theory]
    [InlineData("KILL", "60")] // noticed by the broken connection
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
