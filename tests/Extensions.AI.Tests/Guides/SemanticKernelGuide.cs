using System.Text.Json;
using LocalLlm.Tests;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.SemanticKernel;
using Microsoft.SemanticKernel.ChatCompletion;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests.Guides;

#pragma warning disable xUnit1051 // the code of a guide has no test's cancellation token

/// <summary>The code of docs/guides/semantic-kernel.md.</summary>
public sealed class SemanticKernelGuide(EngineFixture fixture) : IClassFixture<EngineFixture>
{
    [Fact]
    public async Task The_guides_code_does_what_it_says()
    {
        var engine = fixture.Value;
        var builder = Kernel.CreateBuilder();
        builder.AddLocalLlmChatCompletion(engine);
        var kernel = builder.Build();
        var answer = await kernel.InvokePromptAsync("What is 58 + 27?", new(new LocalLlmPromptExecutionSettings { Temperature = 0 }));
        Assert.Equal("58 + 27 = 85", answer.ToString());

        var modelPath = TestPaths.TinyR1;
        var services = new ServiceCollection();
        services.AddLocalLlm(options => options.ModelPath = modelPath).AddSemanticKernel();
        await using var provider = services.BuildServiceProvider();
        var registered = provider.GetRequiredService<Kernel>();
        Assert.NotNull(registered.GetRequiredService<IChatCompletionService>());

        var settings = new LocalLlmPromptExecutionSettings { Temperature = 0, ResponseFormat = typeof(City), ReasoningEffort = "low" };
        var city = await registered.InvokePromptAsync("What do you know of the city of Kelm?", new(settings));
        Assert.NotNull(JsonSerializer.Deserialize<City>(city.ToString()));
    }

    private sealed record City(bool IsCapital, bool HasHarbour);
}
