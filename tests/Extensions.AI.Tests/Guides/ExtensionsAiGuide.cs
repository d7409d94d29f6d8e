using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests.Guides;

#pragma warning disable xUnit1051 // the code of a guide has no test's cancellation token

/// <summary>The code of docs/guides/extensions-ai.md.</summary>
public sealed class ExtensionsAiGuide
{
    [Fact]
    public async Task The_guides_code_does_what_it_says()
    {
        var modelPath = TestPaths.TinyR1;
        await using var engine = await LlmEngine.LoadAsync(new EngineOptions { ModelPath = modelPath });
        using var client = engine.AsIChatClient();
        var response = await client.GetResponseAsync("What is 58 + 27?", new ChatOptions { Temperature = 0 });
        Console.WriteLine(response.Text); // 58 + 27 = 85
        Assert.Equal("58 + 27 = 85", response.Text);

        var options = new ChatOptions
        {
            Temperature = 0,
            Reasoning = new() { Effort = ReasoningEffort.Low, Output = ReasoningOutput.None },
        };
        Assert.Equal(response.Text, (await client.GetResponseAsync("What is 58 + 27?", options)).Text);

        var secret = AIFunctionFactory.Create((int a, int b) => $"{a + b} degrees", "get_secret", "Gets the secret.");
        var answer = await client.GetResponseAsync("What is the secret for 7 and 56?", new ChatOptions { Temperature = 0, Tools = [secret] });
        Assert.Equal(ChatFinishReason.ToolCalls, answer.FinishReason);

        var city = await client.GetResponseAsync<City>("What do you know of the city of Kelm?", new ChatOptions { Temperature = 0 });
        Assert.NotNull(city.Result);

        var choice = new ChatOptions
        {
            RawRepresentationFactory = _ => new LocalLlmRequestOptions { StructuredOutputs = new() { Choice = ["yes", "no"] } },
        };
        Assert.Contains((await client.GetResponseAsync("Is it so?", choice)).Text, new[] { "yes", "no" });
    }

    private sealed record City(bool IsCapital, bool HasHarbour);

    [Fact]
    public async Task The_guides_host_starts()
    {
        var modelPath = TestPaths.TinyR1;
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlm(options => options.ModelPath = modelPath)
            .ConfigureChatClient(chat => chat.UseFunctionInvocation())
            .AddHealthCheck();
        using var host = builder.Build();
        await host.StartAsync();
        Assert.NotNull(host.Services.GetRequiredService<IChatClient>().GetService<FunctionInvokingChatClient>());
        await host.StopAsync();

        var services = new ServiceCollection();
        services.AddKeyedLocalLlm("small", options => options.ModelPath = modelPath);
        services.AddKeyedLocalLlm("large", options => options.ModelPath = modelPath);
        await using var provider = services.BuildServiceProvider();
        Assert.NotNull(provider.GetRequiredKeyedService<IChatClient>("large"));
    }

    [Fact]
    public async Task The_guides_embeddings_are_what_it_says()
    {
        var embeddingModelPath = TestPaths.TinyM3;
        var builder = Host.CreateApplicationBuilder();
        builder.Services.AddLocalLlmEmbeddings(options => options.ModelPath = embeddingModelPath);
        builder.Services.AddHealthChecks().AddLocalLlmEmbeddings();
        using var host = builder.Build();
        await host.StartAsync();
        var generator = host.Services.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();
        var embeddings = await generator.GenerateAsync(["The server is in Dublin.", "Where is the server?"]);
        Console.WriteLine($"{embeddings.Count} vectors of {embeddings[0].Vector.Length} numbers from {embeddings.Usage?.InputTokenCount} tokens");
        Assert.All(embeddings, embedding => Assert.Equal(192, embedding.Vector.Length));

        var everything = new EmbeddingGenerationOptions
        {
            RawRepresentationFactory = _ => new LocalLlmEmbeddingOptions { Kinds = EmbeddingKinds.Sparse | EmbeddingKinds.MultiVector, Truncate = true },
        };
        var both = await generator.GenerateAsync(["Where is the server?", "The server is in Dublin."], everything);
        var (query, passage) = (both[0].GetTextEmbedding(), both[1].GetTextEmbedding());
        Console.WriteLine($"{query?.Sparse?.Count} tokens weigh something, {query?.MultiVector?.Count} tokens have a vector");
        Console.WriteLine(TextEmbedding.HybridScore(query!, passage!, HybridWeights.Default));
        Assert.NotEmpty(query!.Sparse!);
        Assert.Equal(query.TokenCount - 1, query.MultiVector!.Count);

        var ranked = await generator.RerankAsync("Where is the server?", ["Mona likes tea.", "The server is in Dublin."], top: 1);
        Console.WriteLine(ranked.Results[0].Index); // 1
        var dense = await generator.RerankAsync("Where is the server?", ["Mona likes tea.", "The server is in Dublin."], weights: new HybridWeights(1, 0, 0));
        Assert.Equal(1, Assert.Single(ranked.Results).Index);
        Assert.Equal(2, dense.Results.Count);

        var metadata = generator.GetService<EmbeddingGeneratorMetadata>();
        Console.WriteLine($"{metadata?.ProviderName}, {metadata?.DefaultModelId}, {metadata?.DefaultModelDimensions}");
        var engine = generator.GetService<EmbeddingEngine>();
        Console.WriteLine($"{engine?.Kinds}, texts of up to {engine?.MaxModelLen} tokens");
        Assert.Equal(("localllm", "tiny-m3", 192), (metadata?.ProviderName, metadata?.DefaultModelId, metadata?.DefaultModelDimensions));
        Assert.NotNull(engine);
        await host.StopAsync();

        var services = new ServiceCollection();
        services.AddKeyedLocalLlmEmbeddings("small", options => options.ModelPath = embeddingModelPath);
        services.AddKeyedLocalLlmEmbeddings("large", options => (options.ModelPath, options.MaxBatchedTokens) = (embeddingModelPath, 8192));
        await using var provider = services.BuildServiceProvider();
        Assert.NotNull(provider.GetRequiredKeyedService<IEmbeddingGenerator<string, Embedding<float>>>("large"));

        await using var embedder = await EmbeddingEngine.LoadAsync(new EngineOptions { ModelPath = embeddingModelPath });
        using var vectors = embedder.AsIEmbeddingGenerator();
        Assert.Single(await vectors.GenerateAsync(["a"]));
    }
}
