using System.Text.Json;
using LocalLlm.Templating;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>Guaranteed tool calls in every format, with the real tiny model.</summary>
public class ToolChoiceTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("deepseek_v3", true)]
    [InlineData("deepseek_v31", true)]
    [InlineData("hermes", true)]
    [InlineData("llama3_json", true)]
    [InlineData("deepseek_v3", false)]
    [InlineData("deepseek_v31", false)]
    [InlineData("hermes", false)]
    [InlineData("llama3_json", false)]
    public async Task Every_call_names_a_known_tool_and_its_arguments_match_the_schema(string format, bool isRequired)
    {
        await using var engine = await SuiteExecutor.LoadAsync(new() { ModelPath = TestPaths.TinyR1, Dtype = "float32", ToolCallParser = format }, cancellationToken: Token);
        var schemas = Enumerable.Range(0, 16).Select(seed => RandomSchemas.Make(new Random(seed))).ToArray();
        var requests = schemas.Select((schema, seed) => new GenerationRequest
        {
            Chat = ChatTemplateRequest.FromMessages([new("user", $"What is the secret for 7 and {seed}?")]) with
            {
                DescribeTools = true,
                Tools = JsonSerializer.SerializeToElement(new[]
                {
                    new { type = "function", function = new { name = "get_secret", strict = true, parameters = (object)schema } },
                    new { type = "function", function = new { name = "get", strict = true, parameters = (object)schemas[0] } },
                }),
            },
            ToolChoice = isRequired ? ToolChoice.Required : null,
            Sampling = new() { Temperature = isRequired ? 1 : 0, Seed = seed, MaxTokens = 250, ThinkingTokenBudget = 30 },
        }).ToArray();
        var results = await engine.GenerateBatchAsync(requests, cancellationToken: Token);
        var calls = 0;
        for (var i = 0; i < results.Count; i++)
        {
            Assert.Null(results[i].Error);
            var output = results[i].Outputs[0];
            var isCut = output.FinishReason == FinishReason.Length;
            var response = engine.ReadResponse(requests[i], results[i]);
            Assert.True(isCut || response.ToolCalls.All(call => !call.IsCut));
            // The last call of a response that was cut off may be incomplete.
            foreach (var (name, arguments, _) in isCut ? response.ToolCalls.SkipLast(1) : response.ToolCalls)
            {
                calls++;
                Assert.Contains(name, new[] { "get_secret", "get" });
                var schema = await NJsonSchema.JsonSchema.FromJsonAsync((name == "get" ? schemas[0] : schemas[i]).ToJsonString(), Token);
                Assert.True(schema.Validate(arguments).Count == 0, arguments);
            }

            Assert.True(!isRequired || isCut || (response.ToolCalls.Count > 0 && response.Text.Length == 0), output.Text);
        }

        Assert.True(!isRequired || calls >= 12, $"{calls} calls");
    }

    [Fact]
    public async Task A_schema_that_cannot_be_enforced_is_refused_with_the_tool_and_the_place()
    {
        await using var engine = await SuiteExecutor.LoadAsync(new() { ModelPath = TestPaths.TinyR1 }, cancellationToken: Token);
        var request = new GenerationRequest
        {
            Chat = ChatTemplateRequest.FromMessages([new("user", "Hello")]) with
            {
                Tools = JsonSerializer.SerializeToElement(new[] { new { type = "function", function = new { name = "odd", parameters = new { type = "object", properties = new { a = new { type = "array", uniqueItems = true } } } } } }),
            },
            ToolChoice = ToolChoice.Function("odd"),
        };
        var failure = await Assert.ThrowsAsync<EngineException>(() => engine.CompleteAsync(request, Token));
        Assert.Contains("'odd': #/properties/a/uniqueItems", failure.Message, StringComparison.Ordinal);
    }
}
