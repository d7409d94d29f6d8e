using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Microsoft.SemanticKernel.ChatCompletion;
using Microsoft.SemanticKernel.TextGeneration;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

public sealed class DependencyInjectionTests
{
    private static readonly ChatMessage[] Sum = [new(ChatRole.User, "What is 58 + 27?")];
    private static readonly ChatOptions Greedy = new() { Temperature = 0 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_configuration_section_names_the_model_and_code_comes_after_it()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?> { ["LocalLlm:ModelPath"] = TestPaths.TinyR1, ["LocalLlm:ModelId"] = "from-configuration", ["LocalLlm:MaxModelLength"] = "512", ["LocalLlm:Speculation:Method"] = "ngram", ["LocalLlm:Speculation:NumSpeculativeTokens"] = "3" });
        builder.Services.AddLocalLlm(options => options.ModelId = "from-code");
        using var host = builder.Build();
        await host.StartAsync(Token);
        var client = host.Services.GetRequiredService<IChatClient>();
        Assert.Equal("from-code", (await client.GetResponseAsync(Sum, Greedy, Token)).ModelId);
        Assert.Equal(512, client.GetService<LlmEngine>()!.MaxModelLen);
        Assert.Equal(new() { Method = "ngram", NumSpeculativeTokens = 3 }, client.GetService<LlmEngine>()!.Options.Speculation);
        await host.StopAsync(Token);
    }

    [Fact]
    public async Task Models_live_side_by_side_under_keys_each_with_its_own_middleware()
    {
        var services = new ServiceCollection();
        services.AddKeyedLocalLlm("small", options => (options.ModelPath, options.ModelId, options.MaxModelLength) = (TestPaths.TinyR1, "one", 256));
        services.AddKeyedLocalLlm("large", options => (options.ModelPath, options.ModelId) = (TestPaths.TinyR1, "two")).ConfigureChatClient(client => client.UseFunctionInvocation());
        await using var provider = services.BuildServiceProvider();
        var (small, large) = (provider.GetRequiredKeyedService<IChatClient>("small"), provider.GetRequiredKeyedService<IChatClient>("large"));
        Assert.Equal(["one", "two"], (await Task.WhenAll(small.GetResponseAsync(Sum, Greedy, Token), large.GetResponseAsync(Sum, Greedy, Token))).Select(response => response.ModelId));
        Assert.Null(small.GetService<FunctionInvokingChatClient>());
        Assert.NotNull(large.GetService<FunctionInvokingChatClient>());
        Assert.Null(provider.GetService<IChatClient>());
        Assert.NotSame(small.GetService<LlmEngine>(), large.GetService<LlmEngine>());
    }

    [Fact]
    public async Task All_that_is_wrong_with_the_options_is_reported_before_anything_is_loaded()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddKeyedLocalLlm("bad", options => (options.ModelPath, options.Dtype, options.MaxModelLength, options.Speculation) = ("/nowhere", "int3", 0, new() { Method = "eagle" }));
        using var host = builder.Build();
        var failure = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Token));
        foreach (var part in new[] { "LocalLlm:bad", "/nowhere", "int3", "max_model_len", "speculative_config has the method 'eagle'" })
            Assert.Contains(part, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_health_check_follows_the_engine()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1).AddHealthCheck();
        using var host = builder.Build();
        var checks = host.Services.GetRequiredService<HealthCheckService>();
        Assert.Equal(HealthStatus.Unhealthy, (await checks.CheckHealthAsync(Token)).Status);
        await host.StartAsync(Token);
        var healthy = await checks.CheckHealthAsync(Token);
        Assert.Equal(HealthStatus.Healthy, healthy.Status);
        Assert.Equal(0, healthy.Entries["localllm"].Data["running"]);
        await host.StopAsync(Token);
        Assert.Equal(HealthStatus.Unhealthy, (await checks.CheckHealthAsync(Token)).Status);
    }

    [Fact]
    public async Task A_second_call_configures_the_same_engine()
    {
        var services = new ServiceCollection();
        services.AddLocalLlm(options => options.ModelPath = "/elsewhere");
        services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
        await using var provider = services.BuildServiceProvider();
        Assert.Single(provider.GetServices<IChatClient>());
        Assert.NotEmpty((await provider.GetRequiredService<IChatClient>().GetResponseAsync(Sum, Greedy, Token)).Text);
    }

    [Fact]
    public async Task Configuration_comes_before_code_also_after_a_second_call()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Configuration["LocalLlm:ModelId"] = "configured";
        builder.Services.AddLocalLlm(options => (options.ModelPath, options.ModelId) = (TestPaths.TinyR1, "coded"));
        builder.Services.AddLocalLlm(options => options.ConfigureEngine = engine => engine with { MaxModelLen = 100 });
        using var host = builder.Build();
        Assert.Equal("coded", host.Services.GetRequiredService<IChatClient>().GetService<ChatClientMetadata>()!.DefaultModelId);
        await host.StartAsync(Token);
        await host.StopAsync(Token);
    }

    [Fact]
    public async Task A_host_that_stops_while_its_engine_loads_gives_the_load_up()
    {
        var services = new ServiceCollection();
        services.AddLocalLlm(options => (options.ModelPath, options.ConfigureEngine) = (TestPaths.TinyR1, engine => engine with { ServedModelName = "served" }));
        var provider = services.BuildServiceProvider();
        var client = provider.GetRequiredService<IChatClient>();
        Assert.Equal("served", client.GetService<ChatClientMetadata>()!.DefaultModelId);
        var answer = client.GetResponseAsync(Sum, Greedy, Token);
        await provider.DisposeAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => answer);
        await Assert.ThrowsAnyAsync<Exception>(() => client.GetResponseAsync(Sum, Greedy, Token));
    }

    [Fact]
    public async Task A_client_that_outlives_its_container_loads_nothing()
    {
        var services = new ServiceCollection();
        services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
        var provider = services.BuildServiceProvider();
        var client = provider.GetRequiredService<IChatClient>();
        Assert.NotNull(client.GetService<ChatClientMetadata>()!.DefaultModelId);
        await provider.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetResponseAsync(Sum, Greedy, Token));
    }

    [Fact]
    public async Task A_model_that_is_no_embedder_says_so()
    {
        var services = new ServiceCollection();
        services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
        await using var provider = services.BuildServiceProvider();
        var generator = provider.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();
        Assert.Equal("tiny-r1", generator.GetService<EmbeddingGeneratorMetadata>()!.DefaultModelId);
        Assert.Contains("tiny-r1", (await Assert.ThrowsAsync<NotSupportedException>(() => generator.GenerateAsync(["text"], cancellationToken: Token))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Semantic_Kernel_finds_chat_and_text_of_a_registered_engine()
    {
        var services = new ServiceCollection();
        services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1).AddSemanticKernel();
        await using var provider = services.BuildServiceProvider();
        var history = new ChatHistory();
        history.AddUserMessage("What is 58 + 27?");
        Assert.NotEmpty((await provider.GetRequiredService<IChatCompletionService>().GetChatMessageContentAsync(history, cancellationToken: Token)).Content!);
        Assert.NotEmpty((await provider.GetRequiredService<ITextGenerationService>().GetTextContentAsync("Once upon a time", cancellationToken: Token)).Text!);
    }
}
