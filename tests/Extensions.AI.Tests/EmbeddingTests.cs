using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Microsoft.SemanticKernel;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>The trained tiny model in bge-m3's layout behind Microsoft.Extensions.AI.</summary>
public sealed class EmbeddingTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static string Model => TestPaths.TinyM3;

    [Fact]
    public async Task A_registered_model_embeds_with_usage_and_metadata_beside_a_chat_model()
    {
        foreach (var embeddingsFirst in (bool[])[true, false])
        {
            var services = new ServiceCollection();
            services.AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection([new("LocalLlmEmbeddings:ModelPath", Model), new("LocalLlmEmbeddings:ModelId", "m3")]).Build());
            if (embeddingsFirst)
                services.AddLocalLlmEmbeddings();
            services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
            if (!embeddingsFirst)
                services.AddLocalLlmEmbeddings();
            await using var provider = services.BuildServiceProvider();
            var generator = provider.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();
            var embeddings = await generator.GenerateAsync(["the server is in Dublin", "服务器"], cancellationToken: Token);
            Assert.Equal(2, embeddings.Count);
            Assert.All(embeddings, embedding => Assert.Equal(192, embedding.Vector.Length));
            Assert.All(embeddings, embedding => Assert.Equal("m3", embedding.ModelId));
            Assert.True(embeddings.Usage!.InputTokenCount > 4);
            Assert.Equal(embeddings.Usage.InputTokenCount, embeddings.Usage.TotalTokenCount);
            var metadata = generator.GetService<EmbeddingGeneratorMetadata>()!;
            Assert.Equal(("localllm", "m3", 192), (metadata.ProviderName, metadata.DefaultModelId, metadata.DefaultModelDimensions));
            Assert.NotNull(generator.GetService<EmbeddingEngine>());
            Assert.Null(embeddings[0].GetTextEmbedding());
        }
    }

    [Fact]
    public async Task Sparse_weights_and_token_vectors_come_when_they_are_asked_for()
    {
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = Model, Device = "cpu" }, cancellationToken: Token);
        var generator = engine.AsIEmbeddingGenerator();
        var options = new EmbeddingGenerationOptions { RawRepresentationFactory = _ => new LocalLlmEmbeddingOptions { Kinds = EmbeddingKinds.Sparse | EmbeddingKinds.MultiVector } };
        var all = (await generator.GenerateAsync(["the server is in Dublin"], options, Token))[0].GetTextEmbedding()!;
        Assert.NotEmpty(all.Sparse!);
        Assert.Equal(all.TokenCount - 1, all.MultiVector!.Count);
    }

    [Fact]
    public async Task What_the_model_cannot_do_is_refused_by_name()
    {
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = Model, Device = "cpu" }, cancellationToken: Token);
        var generator = engine.AsIEmbeddingGenerator();
        Assert.Contains("Dimensions", (await Assert.ThrowsAsync<NotSupportedException>(() => generator.GenerateAsync(["a"], new() { Dimensions = 64 }, Token))).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<InvalidOperationException>(() => generator.GenerateAsync(["a"], new() { ModelId = "other" }, Token));
        await Assert.ThrowsAsync<EngineException>(() => generator.GenerateAsync([null!], cancellationToken: Token));
        Assert.Empty(await generator.GenerateAsync([], cancellationToken: Token));
        Assert.Single(await generator.GenerateAsync(["a"], new() { Dimensions = 192 }, Token));
    }

    [Fact]
    public async Task Options_that_would_be_passed_over_are_refused_by_name()
    {
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = Model, Device = "cpu" }, cancellationToken: Token);
        var generator = engine.AsIEmbeddingGenerator();
        var foreign = await Assert.ThrowsAsync<ArgumentException>(() => generator.GenerateAsync(["a"], new() { RawRepresentationFactory = _ => new LocalLlmRequestOptions() }, Token));
        Assert.Contains("LocalLlmRequestOptions", foreign.Message, StringComparison.Ordinal);
        Assert.Contains("LocalLlmEmbeddingOptions", foreign.Message, StringComparison.Ordinal);
        foreach (var name in (string[])["sparse", "kinds", "truncate", "normalize", "instruction"])
            Assert.Contains($"\"{name}\"", (await Assert.ThrowsAsync<NotSupportedException>(() => generator.GenerateAsync(["a"], new() { AdditionalProperties = new() { [name] = true } }, Token))).Message, StringComparison.Ordinal);
        Assert.Single(await generator.GenerateAsync(["a"], new() { RawRepresentationFactory = _ => null, AdditionalProperties = new() { ["my_own"] = 1 } }, Token));
    }

    [Fact]
    public async Task A_generator_of_another_provider_stays_and_the_model_is_found_last()
    {
        await using var other = await EmbeddingEngine.LoadAsync(new() { ModelPath = Model, ServedModelName = "other", Device = "cpu" }, cancellationToken: Token);
        foreach (var chat in (bool[])[true, false])
        {
            var services = new ServiceCollection();
            services.AddSingleton(other.AsIEmbeddingGenerator());
            if (chat)
                services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
            services.AddLocalLlmEmbeddings(options => (options.ModelPath, options.ModelId) = (Model, "m3"));
            await using var provider = services.BuildServiceProvider();
            Assert.Equal(["other", "m3"], provider.GetServices<IEmbeddingGenerator<string, Embedding<float>>>().Select(generator => generator.GetService<EmbeddingGeneratorMetadata>()!.DefaultModelId));
        }
    }

    [Fact]
    public async Task A_chat_models_own_generator_gives_way_to_the_embedding_model_of_its_key()
    {
        var services = new ServiceCollection();
        services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
        services.AddKeyedLocalLlm("small", options => options.ModelPath = TestPaths.TinyR1);
        services.AddKeyedLocalLlmEmbeddings("small", options => (options.ModelPath, options.ModelId) = (Model, "m3"));
        await using var provider = services.BuildServiceProvider();
        Assert.Equal("m3", Assert.Single(provider.GetKeyedServices<IEmbeddingGenerator<string, Embedding<float>>>("small")).GetService<EmbeddingGeneratorMetadata>()!.DefaultModelId);
        await Assert.ThrowsAsync<NotSupportedException>(() => provider.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>().GenerateAsync(["a"], cancellationToken: Token));
    }

    [Fact]
    public async Task All_that_is_wrong_with_the_options_is_reported_before_anything_is_loaded()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddKeyedLocalLlmEmbeddings("bad", options => (options.ModelPath, options.Dtype, options.MaxBatchedTokens) = ("/nowhere", "int3", 0));
        using var host = builder.Build();
        var failure = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Token));
        foreach (var part in new[] { "LocalLlmEmbeddings:bad", "/nowhere", "int3", "max_num_batched_tokens" })
            Assert.Contains(part, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Options_that_mean_something_to_generators_alone_are_refused_at_start()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlmEmbeddings(options => (options.ModelPath, options.ConfigureEngine) = (Model, engine => engine with { Seed = 1, MaxNumSeqs = 4 }));
        using var host = builder.Build();
        Assert.Contains("max_num_seqs, seed", (await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync(Token))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_health_check_follows_the_engine()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlmEmbeddings(options => options.ModelPath = Model);
        builder.Services.AddHealthChecks().AddLocalLlmEmbeddings();
        using var host = builder.Build();
        var checks = host.Services.GetRequiredService<HealthCheckService>();
        Assert.Equal(HealthStatus.Unhealthy, (await checks.CheckHealthAsync(Token)).Status);
        await host.StartAsync(Token);
        var healthy = (await checks.CheckHealthAsync(Token)).Entries["localllm-embeddings"];
        Assert.Equal(HealthStatus.Healthy, healthy.Status);
        Assert.Equal(0L, healthy.Data["embedded"]);
        await host.StopAsync(Token);
        Assert.Equal(HealthStatus.Unhealthy, (await checks.CheckHealthAsync(Token)).Status);
    }

    [Theory]
    [InlineData("host")]
    [InlineData("host that loads in the background")]
    [InlineData("no host")]
    public async Task A_model_that_generates_is_loaded_after_those_that_embed(string how)
    {
        var builder = Host.CreateApplicationBuilder();
        IEmbeddingGenerator<string, Embedding<float>>? generator = null;
        var isEmbedderThere = false;
        builder.Services.AddLocalLlm(options =>
        {
            (options.ModelPath, options.LoadInBackground) = (TestPaths.TinyR1, how == "host that loads in the background");
            // The model is loaded with the result of the last call.
            options.ConfigureEngine = engine =>
            {
                isEmbedderThere = generator?.GetService<EmbeddingEngine>() is not null;
                return engine;
            };
        });
        builder.Services.AddLocalLlmEmbeddings(options => (options.ModelPath, options.LoadInBackground) = (Model, how == "host that loads in the background"));
        using var host = builder.Build();
        var client = host.Services.GetRequiredService<IChatClient>();
        generator = host.Services.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();
        if (how != "no host")
            await host.StartAsync(Token);
        await client.GetResponseAsync("Hi", new() { MaxOutputTokens = 1 }, Token);
        Assert.True(isEmbedderThere);
        await host.StopAsync(Token);
    }

    [Fact]
    public async Task A_model_that_generates_is_loaded_where_the_one_that_embeds_cannot_be()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlm(options => (options.ModelPath, options.LoadInBackground) = (TestPaths.TinyR1, true));
        builder.Services.AddLocalLlmEmbeddings(options => (options.ModelPath, options.LoadInBackground) = (TestPaths.TinyR1, true));
        using var host = builder.Build();
        await host.StartAsync(Token);
        Assert.NotNull((await host.Services.GetRequiredService<IChatClient>().GetResponseAsync("Hi", new() { MaxOutputTokens = 1 }, Token)).FinishReason);
        await Assert.ThrowsAsync<EngineException>(() => host.Services.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>().GenerateAsync(["a"], cancellationToken: Token));
        await host.StopAsync(Token);
    }

    [Fact]
    public async Task A_kernel_finds_the_generator()
    {
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = Model, Device = "cpu" }, cancellationToken: Token);
        var builder = Kernel.CreateBuilder();
        builder.AddLocalLlmEmbeddingGenerator(engine, "m3");
        var generator = builder.Build().GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>("m3");
        Assert.Equal(192, (await generator.GenerateVectorAsync("a", cancellationToken: Token)).Length);
    }
}
