using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.SemanticKernel.TextGeneration;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>A host whose model is spread over several ranks is used like any other.</summary>
public sealed class ParallelTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(2, 1)]
    [InlineData(1, 2)]
    [InlineData(2, 2)]
    public async Task A_host_streams_calls_tools_and_completes_text_over_several_ranks(int tensor, int pipeline)
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlm(options =>
        {
            options.ModelPath = TestPaths.TinyR1;
            options.Device = "cpu";
            options.Dtype = "float32";
            options.TensorParallel = tensor;
            options.PipelineParallel = pipeline;
        }).AddSemanticKernel();
        using var host = builder.Build();
        await host.StartAsync(Token);
        var client = host.Services.GetRequiredService<IChatClient>();
        var updates = await client.GetStreamingResponseAsync("What is 58 + 27?", new() { Temperature = 0 }, Token).ToListAsync(Token);
        Assert.True(updates.Count > 2);
        Assert.Contains("85", updates.ToChatResponse().Text, StringComparison.Ordinal);

        var secret = AIFunctionFactory.Create((int a, int b) => $"{a + b} degrees", "get_secret", "Gets the secret.");
        var calling = client.AsBuilder().UseFunctionInvocation().Build();
        var response = await calling.GetResponseAsync("What is the secret for 7 and 56?", new() { Temperature = 0, Tools = [secret] }, Token);
        Assert.Equal("The secret is 63 degrees.", response.Messages[^1].Text);

        var text = host.Services.GetRequiredService<ITextGenerationService>();
        Assert.NotEmpty((await text.GetTextContentsAsync("Once upon a time", cancellationToken: Token))[0].Text!);
        await host.StopAsync(Token);
    }

    [Fact]
    public async Task A_plan_that_the_model_does_not_allow_fails_at_start_and_says_so()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlm(options => (options.ModelPath, options.Device, options.TensorParallel) = (TestPaths.TinyR1, "cpu", 3));
        using var host = builder.Build();
        var failure = await Assert.ThrowsAnyAsync<Exception>(() => host.StartAsync(Token));
        Assert.Contains("tensor_parallel_size is 3, but the model's 4 attention heads are not divisible by 3", failure.ToString(), StringComparison.Ordinal);
    }
}
