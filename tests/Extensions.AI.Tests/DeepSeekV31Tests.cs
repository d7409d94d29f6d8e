using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>
/// A chat client over the tiny model with templates that switch thinking and write tool calls as V3.1's and R1-0528's do.
/// </summary>
public class DeepSeekV31Tests
{
    private static readonly AIFunction Weather = AIFunctionFactory.Create((string city, int days) => "warm", "get_weather", "Gets the weather.");
    private static readonly AIFunction Clock = AIFunctionFactory.Create(() => "noon", "get_time", "Gets the time.");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(null, false)]
    [InlineData(ReasoningEffort.None, false)]
    [InlineData(ReasoningEffort.Low, true)]
    [InlineData(ReasoningEffort.High, true)]
    public async Task Reasoning_switches_the_templates_thinking(ReasoningEffort? effort, bool thinks)
    {
        await using var engine = await LoadAsync(DeepSeekTemplates.V31);
        var prompt = await Prompts.Of(engine, [new(ChatRole.User, "Warm?")], new() { Reasoning = effort is { } given ? new() { Effort = given } : null }, Token);
        Assert.EndsWith(thinks ? "<｜Assistant｜><think>" : "<｜Assistant｜></think>", prompt, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("chat_template_kwargs")]
    [InlineData("enable_thinking")]
    [InlineData("thinking")]
    public async Task Additional_properties_switch_it_too(string property)
    {
        await using var engine = await LoadAsync(DeepSeekTemplates.V31);
        object value = property switch { "enable_thinking" => true, "thinking" => new { type = "enabled" }, _ => new { thinking = true } };
        var prompt = await Prompts.Of(engine, [new(ChatRole.User, "Warm?")], new() { AdditionalProperties = new() { [property] = value } }, Token);
        Assert.EndsWith("<｜Assistant｜><think>", prompt, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(nameof(DeepSeekTemplates.V31), true, false)]
    [InlineData(nameof(DeepSeekTemplates.V31), false, false)]
    [InlineData(nameof(DeepSeekTemplates.V31), true, true)]
    [InlineData(nameof(DeepSeekTemplates.V31), false, true)]
    [InlineData(nameof(DeepSeekTemplates.R10528), true, false)]
    [InlineData(nameof(DeepSeekTemplates.R10528), false, true)]
    public async Task Required_and_named_calls_come_with_arguments_by_the_schema(string template, bool isNamed, bool thinks)
    {
        await using var engine = await LoadAsync(template == nameof(DeepSeekTemplates.V31) ? DeepSeekTemplates.V31 : DeepSeekTemplates.R10528);
        using var client = engine.AsIChatClient();
        for (var seed = 0; seed < 4; seed++)
        {
            var options = new ChatOptions
            {
                Temperature = 1, Seed = seed, MaxOutputTokens = 400, Tools = [Weather, Clock], ToolMode = isNamed ? ChatToolMode.RequireSpecific("get_weather") : ChatToolMode.RequireAny,
                Reasoning = new() { Effort = thinks ? ReasoningEffort.Low : ReasoningEffort.None },
                AdditionalProperties = thinks ? new() { ["thinking_token_budget"] = 20 } : null,
            };
            var updates = await client.GetStreamingResponseAsync("What is the weather?", options, Token).ToListAsync(Token);
            var response = updates.ToChatResponse();
            Assert.DoesNotContain("tool▁", response.Text, StringComparison.Ordinal);
            if (response.FinishReason == ChatFinishReason.Length)
                continue;
            var calls = response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>().ToArray();
            Assert.NotEmpty(calls);
            Assert.Equal(ChatFinishReason.ToolCalls, response.FinishReason);
            foreach (var call in calls)
            {
                Assert.Null(call.Exception);
                Assert.True(call.Name == "get_weather" ? call.Arguments!.Keys.Order().SequenceEqual(["city", "days"]) : !isNamed && call.Name == "get_time", call.Name);
            }
        }
    }

    [Fact]
    public async Task A_call_and_its_result_go_back_to_the_model_in_its_own_format()
    {
        await using var engine = await LoadAsync(DeepSeekTemplates.V31);
        var prompt = await Prompts.Of(
            engine,
            [
                new(ChatRole.User, "Warm?"),
                new(ChatRole.Assistant, [new FunctionCallContent("1", "get_weather", new Dictionary<string, object?> { ["city"] = "Rome" })]),
                new(ChatRole.Tool, [new FunctionResultContent("1", "warm")]),
            ],
            new() { Tools = [Weather] },
            Token);
        Assert.EndsWith(
            "<｜Assistant｜></think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Rome\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜><｜tool▁output▁begin｜>warm<｜tool▁output▁end｜>",
            prompt, StringComparison.Ordinal);
        // The template does not mention tools, so the engine describes them in this format.
        Assert.Contains("get_weather", prompt[..prompt.IndexOf("<｜User｜>", StringComparison.Ordinal)], StringComparison.Ordinal);
        Assert.DoesNotContain("```json", prompt, StringComparison.Ordinal);
    }

    private static Task<LlmEngine> LoadAsync(string template) => LlmEngine.LoadAsync(
        new() { ModelPath = TestPaths.TinyR1, Device = "cpu", Dtype = "float32", ChatTemplate = template, LoggerFactory = new FailureLog() }, cancellationToken: Token);
}
