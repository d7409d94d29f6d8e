using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests.Guides;

#pragma warning disable xUnit1051 // the code of a guide knows no test

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
}
