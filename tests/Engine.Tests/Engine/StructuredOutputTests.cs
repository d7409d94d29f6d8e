using System.Text.Json;
using LocalLlm.Sampling;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>Grammars with the real tiny model: whatever the model prefers, every finished response matches its grammar.</summary>
public sealed class StructuredOutputTests : IAsyncLifetime
{
    private LlmEngine _engine = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _engine = await SuiteExecutor.LoadAsync(new() { ModelPath = TestPaths.TinyR1, Dtype = "float32" }, cancellationToken: Token);

    public ValueTask DisposeAsync() => _engine.DisposeAsync();

    [Fact]
    public async Task An_answer_is_one_of_the_choices_and_thinking_comes_before_it()
    {
        string[] choices = ["yes", "no", "well, perhaps"];
        var results = await RunAsync(new() { Choice = choices }, 24);
        Assert.All(results, text => Assert.Contains(text.Answer, choices));
        Assert.Contains(results, text => text.Thought.Length > 0);
    }

    [Theory]
    [InlineData("\\d{2,4} degrees")]
    [InlineData("(The (wolf|fox) is [a-z]{3,8}\\.\n?){1,2}")]
    public async Task An_answer_matches_the_pattern_as_a_whole(string pattern) =>
        Assert.All(await RunAsync(new() { Regex = pattern }, 16), text => Assert.Matches($"^(?:{pattern})$", text.Answer));

    [Fact]
    public async Task An_answer_is_a_json_object()
    {
        var finished = 0;
        foreach (var (_, answer, isFinished) in await RunAsync(new() { JsonObject = true }, 24))
        {
            if (!isFinished)
                continue;
            finished++;
            using var document = JsonDocument.Parse(answer);
            Assert.Equal(JsonValueKind.Object, document.RootElement.ValueKind);
        }

        Assert.True(finished > 0);
    }

    [Fact]
    public async Task An_answer_is_an_instance_of_the_schema()
    {
        // The full thousand only on request (LOCALLLM_RANDOM_SCHEMAS); a part of them in every run.
        var count = int.Parse(Environment.GetEnvironmentVariable("LOCALLLM_RANDOM_SCHEMAS") ?? "120", System.Globalization.CultureInfo.InvariantCulture);
        var schemas = Enumerable.Range(0, count).Select(seed => RandomSchemas.Make(new Random(seed))).ToArray();
        var results = await _engine.GenerateBatchAsync(
            [.. schemas.Select((schema, seed) => GenerationRequest.FromText("As JSON: ", new() { Temperature = 1, Seed = seed, MaxTokens = 400, StructuredOutputs = new() { Json = JsonSerializer.SerializeToElement(schema) } }))],
            cancellationToken: Token);
        var finished = 0;
        for (var i = 0; i < results.Count; i++)
        {
            Assert.Null(results[i].Error);
            if (results[i].Outputs[0].FinishReason != FinishReason.Stop)
                continue;
            finished++;
            var schema = await NJsonSchema.JsonSchema.FromJsonAsync(schemas[i].ToJsonString(), Token);
            var text = results[i].Outputs[0].Text;
            Assert.True(schema.Validate(text).Count == 0, $"{schemas[i].ToJsonString()}\n{text}\n{string.Join(", ", schema.Validate(text))}");
        }

        Assert.True(finished > count / 2, $"{finished} of {count} finished");
        TestContext.Current.SendDiagnosticMessage($"{finished} of {count} finished");
    }

    [Fact]
    public async Task A_grammar_in_ebnf_is_enforced()
    {
        const string Sums = """
            root ::= sum ("; " sum){1,2} "."   # two or three of them
            sum ::= number " " [+*-] " " (number | "(" sum ")")
            number ::= [1-9] [0-9]?
            """;
        foreach (var (_, answer, isFinished) in await RunAsync(new() { Grammar = Sums }, 8))
        {
            if (isFinished)
                Assert.Matches(@"^[1-9][0-9]? [+*-] .*(; .*){1,2}\.$", answer);
        }
    }

    [Fact]
    public async Task A_stop_string_ends_a_text_that_the_grammar_would_go_on_with()
    {
        var result = await _engine.CompleteAsync(
            GenerationRequest.FromText("Letters: ", new() { StructuredOutputs = new() { Regex = "[a-z]{3,8}END[a-z]{50}" }, Stop = ["END"], Temperature = 1, Seed = 3, MaxTokens = 80 }), Token);
        Assert.Matches("^[a-z]{3,8}$", result.Outputs[0].Text);
        Assert.Equal((FinishReason.Stop, "END"), (result.Outputs[0].FinishReason, result.Outputs[0].StopString));
    }

    [Fact]
    public async Task A_structure_is_enforced_through_preemption()
    {
        // There is room for only some of the requests. The others lose their blocks and begin again with what they have generated.
        await using var engine = await SuiteExecutor.LoadAsync(new() { ModelPath = TestPaths.TinyR1, Dtype = "float32", NumGpuBlocksOverride = 40, EnablePrefixCaching = false, MaxModelLen = 400 }, cancellationToken: Token);
        var requests = Enumerable.Range(0, 24).Select(i => GenerationRequest.FromText($"{i}: ", new()
        {
            StructuredOutputs = new() { Regex = "([a-z]{2,5} ){20}[0-9]{4}\\.( ok){10}" }, Temperature = 1, Seed = i, MaxTokens = 200,
        })).ToArray();
        var together = await engine.GenerateBatchAsync(requests, cancellationToken: Token);
        Assert.True(engine.Statistics.Preemptions > 0);
        for (var i = 0; i < requests.Length; i++)
        {
            Assert.Matches("^([a-z]{2,5} ){20}[0-9]{4}\\.( ok){10}$", together[i].Outputs[0].Text);
            Assert.Equal((await engine.CompleteAsync(requests[i], Token)).Outputs[0].Text, together[i].Outputs[0].Text);
        }
    }

    [Fact]
    public async Task A_prompt_that_is_no_chat_begins_with_the_grammar_at_once()
    {
        var result = await _engine.CompleteAsync(GenerationRequest.FromText("The number is ", new() { StructuredOutputs = new() { Regex = "[0-9]{5}" }, Temperature = 0, MaxTokens = 40 }), Token);
        Assert.Matches("^[0-9]{5}$", result.Outputs[0].Text);
        Assert.Equal(FinishReason.Stop, result.Outputs[0].FinishReason);
    }

    [Fact]
    public async Task Requests_beside_it_are_not_touched()
    {
        var plain = GenerationRequest.FromChat([new("user", "What is 58 + 27?")], new() { Temperature = 0 });
        var alone = await _engine.CompleteAsync(plain, Token);
        var together = await _engine.GenerateBatchAsync(
            [plain, GenerationRequest.FromChat([new("user", "What is 58 + 27?")], new() { Temperature = 0, StructuredOutputs = new() { Choice = ["85!"] } }), plain], cancellationToken: Token);
        Assert.Equal(alone.Outputs[0].Text, together[0].Outputs[0].Text);
        Assert.Equal(alone.Outputs[0].Text, together[2].Outputs[0].Text);
        Assert.EndsWith("85!", together[1].Outputs[0].Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"structured_outputs": {"choice": []}}""", "at least one")]
    [InlineData("""{"structured_outputs": {"regex": "(a"}}""", "')' is missing")]
    [InlineData("""{"structured_outputs": {"regex": "a", "choice": ["a"]}}""", "exactly one")]
    [InlineData("""{"structured_outputs": {}}""", "exactly one")]
    [InlineData("""{"structured_outputs": {"grammar": "x"}}""", "line 1")]
    [InlineData("""{"structured_outputs": {"grammar": 1}}""", "structured_outputs.grammar")]
    [InlineData("""{"structured_outputs": {"structural_tag": "x"}}""", "structured_outputs.structural_tag")]
    [InlineData("""{"structured_outputs": "x"}""", "structured_outputs")]
    [InlineData("""{"response_format": {"type": "json_schema"}}""", "json_schema")]
    [InlineData("""{"response_format": {"type": "json_schema", "json_schema": {"schema": {"properties": {"a": {"type": "array", "uniqueItems": true}}}}}}""", "#/properties/a/uniqueItems")]
    [InlineData("""{"structured_outputs": {"json": "{"}}""", "structured_outputs.json")]
    [InlineData("""{"structured_outputs": {"json": {"type": "object"}, "json_object": true}}""", "exactly one")]
    public async Task A_structure_that_cannot_be_enforced_is_refused_with_the_reason(string json, string reason)
    {
        using var document = JsonDocument.Parse(json);
        var failure = await Assert.ThrowsAsync<EngineException>(async () =>
            await _engine.CompleteAsync(GenerationRequest.FromText("x", SamplingParamsJson.Parse(document.RootElement, out _)), Token));
        Assert.Equal(EngineErrorKind.InvalidRequest, failure.Kind);
        Assert.Contains(reason, failure.Message, StringComparison.Ordinal);
    }

    private async Task<List<(string Thought, string Answer, bool IsFinished)>> RunAsync(StructuredOutputs structure, int count)
    {
        var results = await _engine.GenerateBatchAsync(
            [.. Enumerable.Range(0, count).Select(i => GenerationRequest.FromChat([new("user", $"Tell me about the number {i}.")], new() { Temperature = 1, Seed = i, MaxTokens = 300, StructuredOutputs = structure, ThinkingTokenBudget = 40 }))],
            cancellationToken: Token);
        return [.. results.Select(result =>
        {
            Assert.Null(result.Error);
            var text = result.Outputs[0].Text;
            var at = text.IndexOf("</think>", StringComparison.Ordinal);
            var response = text[(at + "</think>".Length)..];
            var structure = response.TrimStart('\n');
            Assert.InRange(response.Length - structure.Length, 0, 2);
            return (text[..Math.Max(0, at)], structure, result.Outputs[0].FinishReason == FinishReason.Stop);
        })];
    }
}
