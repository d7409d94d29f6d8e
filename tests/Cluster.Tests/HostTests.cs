using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>Two hosts of an application, as <c>AddLocalLlm</c> registers them.</summary>
public class HostTests
{
    [Fact]
    public async Task Node_0_chats_and_node_1_computes_and_refuses_by_name()
    {
        var port = Replica.FreePort();
        using var second = Host(port, 1);
        await second.StartAsync(TestContext.Current.CancellationToken);
        using var first = Host(port, 0);
        await first.StartAsync(TestContext.Current.CancellationToken);
        var response = await first.Services.GetRequiredService<IChatClient>().GetResponseAsync("Hello", new() { MaxOutputTokens = 4 }, TestContext.Current.CancellationToken);
        Assert.Equal(4, response.Usage?.OutputTokenCount);
        var refusal = await Assert.ThrowsAsync<EngineException>(() =>
            second.Services.GetRequiredService<IChatClient>().GetResponseAsync("Hello", cancellationToken: TestContext.Current.CancellationToken));
        Assert.StartsWith("node_rank is 1: this node computes for node 0 and takes no requests", refusal.Message, StringComparison.Ordinal);
        // The second application ends with the replica.
        var stopping = new TaskCompletionSource();
        second.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(stopping.SetResult);
        await first.StopAsync(TestContext.Current.CancellationToken);
        await stopping.Task.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        await second.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Without_the_package_several_nodes_are_refused_by_its_name()
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddLocalLlm(options => (options.ModelPath, options.PipelineParallel, options.Nodes) = (Replica.Options.ModelPath, 2, 2));
        using var host = builder.Build();
        var refusal = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(TestContext.Current.CancellationToken));
        Assert.Contains("services.AddLocalLlmCluster() of the package LocalLlm.Cluster", refusal.Message, StringComparison.Ordinal);
    }

    private static IHost Host(int port, int nodeRank)
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddLocalLlmCluster(trust => trust with { Token = "of the test" });
        builder.Services.AddLocalLlm(options =>
        {
            (options.ModelPath, options.Device, options.Dtype, options.MaxModelLength) = (Replica.Options.ModelPath, "cpu", "float32", 256);
            (options.PipelineParallel, options.Nodes, options.NodeRank, options.MasterPort) = (2, 2, nodeRank, port);
            options.ConfigureEngine = engine => engine with { NumGpuBlocksOverride = 64, NumThreads = 1 };
        });
        return builder.Build();
    }
}
