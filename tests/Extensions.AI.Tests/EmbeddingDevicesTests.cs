using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>An encoder on its own devices, beside a model that generates text.</summary>
public sealed class EmbeddingDevicesTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_encoder_is_split_over_the_devices_that_the_configuration_names()
    {
        await using var provider = Provider(("TensorParallel", "2"), ("Devices:0", "cpu"), ("Devices:1", "cpu"));
        var generator = provider.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();
        var vector = (await generator.GenerateAsync(["a text"], cancellationToken: Token))[0].Vector;
        var engine = generator.GetRequiredService<EmbeddingEngine>();
        Assert.Equal(2, engine.Options.TensorParallel);
        Assert.Equal(["cpu", "cpu"], engine.Options.Devices);
        Assert.Equal(192, vector.Length);
    }

    [Theory]
    [InlineData("cuda:0", "cuda:2", "device is 'cuda:0', but devices names cuda:2")]
    [InlineData("auto", "gpu", "devices names 'gpu'")]
    [InlineData("auto", "", "devices has no name at place 1 of 1")]
    public async Task Devices_that_are_not_clear_are_refused_by_name(string device, string listed, string says)
    {
        await using var provider = Provider(("Device", device), ("Devices:0", listed));
        var refusal = Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<IOptionsMonitor<LocalLlmEmbeddingsOptions>>().Get(Options.DefaultName));
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
    }

    private static ServiceProvider Provider(params (string Key, string Value)[] settings)
    {
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection(
            [new("LocalLlmEmbeddings:ModelPath", TestPaths.TinyM3), .. settings.Select(setting => KeyValuePair.Create("LocalLlmEmbeddings:" + setting.Key, (string?)setting.Value))]).Build());
        services.AddLocalLlmEmbeddings();
        return services.BuildServiceProvider();
    }
}
