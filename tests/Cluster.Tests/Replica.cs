using System.Net;
using System.Net.Sockets;
using LocalLlm.Tests;

namespace LocalLlm.Cluster.Tests;

/// <summary>A replica whose nodes all run in this process.</summary>
internal sealed class Replica : IAsyncDisposable
{
    private Replica(LlmEngine engine, IReadOnlyList<Task> nodes) => (Engine, Nodes) = (engine, nodes);

    public LlmEngine Engine { get; }

    /// <summary>The tasks of the nodes above 0; each completes when its node ends.</summary>
    public IReadOnlyList<Task> Nodes { get; }

    public static EngineOptions Options { get; } = new()
    {
        ModelPath = TestPaths.TinyR1, Device = "cpu", Dtype = "float32", MaxModelLen = 512, NumGpuBlocksOverride = 128, NumThreads = 1, Seed = 1,
        NodeJoinTimeout = TimeSpan.FromMinutes(2), NodeHeartbeat = TimeSpan.FromSeconds(20),
    };

    /// <summary>Loads all nodes.</summary>
    /// <param name="options">Options of node 0.</param>
    /// <param name="ofNode">Changes the options of the other nodes.</param>
    public static async Task<Replica> LoadAsync(EngineOptions options, Func<EngineOptions, EngineOptions>? ofNode = null)
    {
        var nodes = Enumerable.Range(1, options.Nodes - 1).Select(rank =>
        {
            var node = options with { NodeRank = rank };
            return Task.Run(() => EngineNode.RunAsync(ofNode?.Invoke(node) ?? node));
        }).ToArray();
        return new(await LlmEngine.LoadAsync(options), nodes);
    }

    public static EngineOptions InMemory(MemoryNetwork network, int tensorParallel, int pipelineParallel, int nodes) => Options with
    {
        TensorParallel = tensorParallel, PipelineParallel = pipelineParallel, Nodes = nodes, NodeTransport = _ => network.Transport(),
    };

    public static EngineOptions OverGrpc(int tensorParallel, int pipelineParallel, int nodes, GrpcNodeOptions? trust = null) => Options with
    {
        TensorParallel = tensorParallel, PipelineParallel = pipelineParallel, Nodes = nodes, MasterPort = FreePort(),
        NodeTransport = options => new GrpcNodeTransport(options.MasterAddress, options.MasterPort, trust),
    };

    public static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    /// <summary>Greedy tokens of several prompts at once.</summary>
    public static async Task<int[][]> GreedyAsync(LlmEngine engine) =>
        await Task.WhenAll(Prompts.Select(prompt => GreedyAsync(engine, prompt, 24)));

    public static async Task<int[]> GreedyAsync(LlmEngine engine, string prompt, int maxTokens)
    {
        var ids = new List<int>();
        await foreach (var output in engine.GenerateAsync(prompt, new SamplingParams { Temperature = 0, MaxTokens = maxTokens, IgnoreEos = true }))
            ids.AddRange(output.TokenIds);
        return [.. ids];
    }

    public async ValueTask DisposeAsync() => await Engine.DisposeAsync();

    private static readonly string[] Prompts =
    [
        "Once upon a time", "The capital of France is", "1 + 1 =", "In the beginning there was a very long prompt, " + string.Join(' ', Enumerable.Range(0, 60)),
    ];
}
