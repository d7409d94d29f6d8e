using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
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
    public async Task A_kernel_finds_the_generator()
    {
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = Model, Device = "cpu" }, cancellationToken: Token);
        var builder = Kernel.CreateBuilder();
        builder.AddLocalLlmEmbeddingGenerator(engine, "m3");
        var generator = builder.Build().GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>("m3");
        Assert.Equal(192, (await generator.GenerateVectorAsync("a", cancellationToken: Token)).Length);
    }
}
