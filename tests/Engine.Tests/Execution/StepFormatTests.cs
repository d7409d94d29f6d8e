using System.Text;
using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Grammars;
using LocalLlm.Execution.Wire;
using LocalLlm.Parsing;
using LocalLlm.Sampling;
using LocalLlm.Tests.Sampling;
using Xunit;

namespace LocalLlm.Tests.Execution;

public class StepFormatTests
{
    [Fact]
    public void A_step_comes_back_as_it_was()
    {
        var step = Step();
        var back = StepFormat.DecodeStep(StepFormat.Encode(step));
        Assert.Equal(StepFormat.Encode(step), StepFormat.Encode(back));
        Assert.Equal((7, 4, true, true), (back.StepId, back.TotalTokens, back.SamplesOnHost, back.NeedsHistory));
        Assert.Equal([3L], back.FinishedIds);
        Assert.Equal([4L], back.PreemptedIds);
        var entry = back.Sequences.Single();
        Assert.Equal((9, 5, 8, true, true), (entry.SequenceId, entry.FirstPosition, entry.PromptLength, entry.SamplesToken, entry.NeedsPromptLogits));
        Assert.True(entry.TakesBest);
        Assert.Equal(3, entry.Group);
        Assert.Equal([5, 6, 7, -1], entry.TokenIds.ToArray());
        Assert.Equal([7, -1], entry.Drafts.ToArray());
        Assert.Equal([11, 12], entry.BlockTable.ToArray());
        var sequence = back.NewSequences.Single();
        Assert.Equal((9, 2, ulong.MaxValue), (sequence.Id, sequence.Index, sequence.Seed));
        Assert.Equal(step.NewSequences[0].PromptTokenIds.ToArray(), sequence.PromptTokenIds.ToArray());
    }

    [Fact]
    public void Every_parameter_of_sampling_crosses()
    {
        var given = Step().NewSequences[0].Sampling;
        var back = StepFormat.DecodeStep(StepFormat.Encode(Step())).NewSequences[0].Sampling;
        foreach (var property in typeof(ValidatedSampling).GetProperties().Where(property => property.Name != nameof(ValidatedSampling.Grammar)))
            Assert.Equivalent(property.GetValue(given), property.GetValue(back), strict: true);
        Assert.Equal((given.Temperature, given.TopP, given.Seed), (back.Temperature, back.TopP, back.Seed));
    }

    [Theory]
    [MemberData(nameof(Sources))]
    public void A_grammar_crosses_as_what_it_is_compiled_from(string _, object source)
    {
        var given = new ResponseGrammar((GrammarSource)source, "response_format");
        var step = Step();
        step.NewSequences[0] = step.NewSequences[0] with { Sampling = With(given) };
        var back = StepFormat.DecodeStep(StepFormat.Encode(step)).NewSequences[0].Sampling.Grammar!;
        Assert.Equal((given.Field, given.Source.ToJson()), (back.Field, back.Source.ToJson()));
    }

    public static TheoryData<string, object> Sources() => new()
    {
        { "schema", Source(new() { Json = Json("""{ "b": 1, "a": {"type":"string"} }"""), TypeFirst = true }) },
        { "deep schema", Source(new() { Json = Json(new string('[', 200) + new string(']', 200)) }) },
        { "choice", Source(new() { Choice = ["yes", "\u00e9\n"] }) },
        { "regex", Source(new() { Regex = "a\\d+" }) },
        { "ebnf", Source(new() { Grammar = "root ::= \"a\"" }) },
        { "object", Source(new() { JsonObject = true }) },
        { "tools", Source(null, new(ToolCallFormat.Hermes, Tools, ToolChoice.Required with { AllowParallelCalls = false })) },
        { "one tool", Source(null, new(ToolCallFormat.DeepSeekV31, Tools, ToolChoice.Function("f"))) },
        { "both", Source(new() { JsonObject = true }, new(ToolCallFormat.Llama3Json, Tools, ToolChoice.Auto)) },
    };

    [Fact]
    public void A_result_comes_back_as_it_was()
    {
        var result = new StepResult
        {
            StepId = 3,
            Sequences =
            {
                new(1, default),
                new(2, new SampledToken[] { new(5, new(new(5, float.NegativeInfinity, 3), [new(6, -0.1f, 1)])), SampledToken.Failed(SampleError.NoTokenAllowed, new(EngineErrorKind.InvalidRequest, "the grammar", "json")) }),
                new(3, default, [new(new(4, -1.5f, 2), [])], new(EngineErrorKind.GenerationFailed, "why")),
            },
        };
        var bytes = StepFormat.Encode(result);
        var back = StepFormat.DecodeResult(bytes);
        Assert.Equal(bytes, StepFormat.Encode(back));
        var sampled = back.Sequences[1].Sampled.ToArray();
        Assert.Equal((float.NegativeInfinity, 3), (sampled[0].Logprobs!.Chosen.Logprob, sampled[0].Logprobs!.Chosen.Rank));
        Assert.Equal((-1, SampleError.NoTokenAllowed, "the grammar"), (sampled[1].TokenId, sampled[1].Error, sampled[1].Cause!.Message));
        Assert.Equal(-1.5f, back.Sequences[2].PromptLogprobs!.Single().Chosen.Logprob);
        Assert.Equal(result.Sequences[2].Failure, back.Sequences[2].Failure);
    }

    [Fact]
    public void Every_field_is_described_with_the_version_that_it_belongs_to()
    {
        var page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "step-format.md"));
        Assert.Contains($"**Version {StepFormat.Version}.**", page, StringComparison.Ordinal);
        var result = new StepResult
        {
            Sequences =
            {
                new(1, new SampledToken[] { new(5, new(new(5, 0, 1, "a"), [])), SampledToken.Failed(SampleError.NoTokenAllowed, new(EngineErrorKind.InvalidRequest, "m", "p")) }, [], new(EngineErrorKind.InvalidRequest, "m")),
            },
            Failure = new("details", false),
        };
        var capabilities = new ExecutorCapabilities { StepTimeout = TimeSpan.FromSeconds(1), PromptLengthThreshold = 3, Plan = Plan };
        var names = new[] { StepFormat.Encode(Step()), StepFormat.Encode(result), StepFormat.Encode(capabilities) }.SelectMany(Names).ToHashSet();
        Assert.True(names.All(name => page.Contains($"`{name}`", StringComparison.Ordinal)), string.Join(" ", names.Where(name => !page.Contains($"`{name}`", StringComparison.Ordinal)).Order()) + names.Count);
        // If this number changes, the format has changed: raise its version, and describe the change.
        Assert.Equal(NumFieldsOfVersion7, names.Count);
    }

    private const int NumFieldsOfVersion7 = 95;

    private static MemoryPlan Plan => new()
    {
        AvailableBytes = 1, BudgetBytes = 1, WeightBytes = 1, ActivationBytes = 1, KvCacheBytes = 1, BytesPerBlock = 1, NumBlocks = 1, BlockSize = 16, MaxModelLen = 2, Note = "n",
    };

    private static IEnumerable<string> Names(byte[] message)
    {
        using var document = JsonDocument.Parse(message.AsMemory(1));
        return [.. NamesOf(document.RootElement)];

        static IEnumerable<string> NamesOf(JsonElement element) => element.ValueKind switch
        {
            JsonValueKind.Object => element.EnumerateObject().SelectMany(property => NamesOf(property.Value).Prepend(property.Name)),
            JsonValueKind.Array => element.EnumerateArray().SelectMany(NamesOf),
            _ => [],
        };
    }

    [Fact]
    public void A_failure_of_a_step_crosses()
    {
        var back = StepFormat.DecodeResult(StepFormat.Encode(new StepResult { StepId = 4, Failure = new("details", IsFatal: true) }));
        Assert.Equal((4, new StepFailure("details", true)), (back.StepId, back.Failure!));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\u0002{}")]
    [InlineData("{}")]
    public void Another_version_is_refused_with_both(string message)
    {
        var refusal = Assert.Throws<InvalidDataException>(() => StepFormat.DecodeStep(Encoding.UTF8.GetBytes(message)));
        Assert.Contains($"this build reads {StepFormat.Version}", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("{\"step_id\":1,\"sequences\":[],\"unheard_of\":2}")]
    [InlineData("{\"step_id\":1,\"sequences\":[{}]}")]
    [InlineData("{\"step_id\":1,\"sequences\":null}")]
    [InlineData("{\"step_id\":1")]
    [InlineData("{\"step_id\":1,\"sequences\":[],\"new_sequences\":[{\"id\":1,\"sampling\":{}}]}")]
    public void What_is_not_a_step_is_refused(string message) =>
        Assert.Throws<InvalidDataException>(() => StepFormat.DecodeStep([StepFormat.Version, .. Encoding.UTF8.GetBytes(message)]));

    private static SchedulerOutput Step() => new()
    {
        StepId = 7,
        TotalTokens = 4,
        SamplesOnHost = true,
        NeedsHistory = true,
        NewSequences = { new(9, new[] { 1, 2, 3, 4, 5, 6, 7, 8 }, With(new(new GrammarSource.Regex("a+"), "regex")), 2, ulong.MaxValue) },
        Sequences = { new(9, 5, 8, new[] { 5, 6, 7, -1 }, new[] { 11, 12 }, true, true, 2, 8, true, 3) },
        FinishedIds = { 3 },
        PreemptedIds = { 4 },
    };

    private static JsonElement Tools => Json("""[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]""");

    private static GrammarSource Source(StructuredOutputs? structure, ToolCallStructure? tools = null) => ResponseGrammars.SourceOf(structure, tools);

    private static ValidatedSampling With(ResponseGrammar grammar)
    {
        var sampling = SamplingKit.Validated(new()
        {
            N = 3,
            Temperature = 0.1 + 0.2,
            TopP = 0.9,
            TopK = 40,
            MinP = 0.05,
            Seed = long.MinValue,
            StopTokenIds = [5, 6],
            IgnoreEos = true,
            MinTokens = 2,
            MaxTokens = 20,
            Logprobs = 3,
            PromptLogprobs = 2,
            PresencePenalty = 0.1,
            FrequencyPenalty = 0.2,
            RepetitionPenalty = 1.3,
            LogitBias = new Dictionary<int, double> { [3] = -1.5, [1] = 2 },
            AllowedTokenIds = [1, 2, 3, 7],
            SkipReadingPrefixCache = true,
        });
        return new()
        {
            N = sampling.N,
            PresencePenalty = sampling.PresencePenalty,
            FrequencyPenalty = sampling.FrequencyPenalty,
            RepetitionPenalty = sampling.RepetitionPenalty,
            Temperature = sampling.Temperature,
            TopP = sampling.TopP,
            TopK = sampling.TopK,
            MinP = sampling.MinP,
            Seed = sampling.Seed,
            Stop = ["\n\n"],
            StopTokenIds = sampling.StopTokenIds,
            EosTokenIds = sampling.EosTokenIds,
            IncludeStopStrInOutput = true,
            IgnoreEos = sampling.IgnoreEos,
            MaxTokens = sampling.MaxTokens,
            MinTokens = sampling.MinTokens,
            MinTokensBanned = sampling.MinTokensBanned,
            Logprobs = sampling.Logprobs,
            PromptLogprobs = sampling.PromptLogprobs,
            Detokenize = true,
            SkipSpecialTokens = false,
            SpacesBetweenSpecialTokens = false,
            LogitBiasTokenIds = sampling.LogitBiasTokenIds,
            LogitBiases = sampling.LogitBiases,
            AllowedTokenIds = sampling.AllowedTokenIds,
            BadWordsTokenIds = [[1, 2], [3]],
            ThinkingTokenBudget = 12,
            Thinking = new(8, 9),
            IsChat = true,
            Grammar = grammar,
            SkipReadingPrefixCache = sampling.SkipReadingPrefixCache,
        };
    }

    private static JsonElement Json(string text) => JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 1000 }).RootElement;
}
