using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Models;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Engine;

/// <summary>The whole engine on a GPU, compared with the references and with the CPU.</summary>
public sealed class CudaEngineTests
{
    // The two leading bfloat16 logits may change places if they differ by no more than this.
    private const double BFloat16NearTie = 0.125;

    public CudaEngineTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
    }

    [Theory]
    [MemberData(nameof(GoldenGenerationTests.Decoders), MemberType = typeof(GoldenGenerationTests))]
    public async Task Greedy_float32_ids_of_a_random_model_are_those_of_the_reference(string name)
    {
        var folder = TestPaths.Shared("goldens", "random", name);
        var cases = new GoldenFile(folder).Cases.Where(golden => golden.MinMargin > 1e-4).ToArray();
        foreach (var eager in (bool[])[false, true])
        {
            await using var engine = await SuiteExecutor.LoadAsync(Options(folder, "float32") with { SkipTokenizerInit = true, EnforceEager = eager }, cancellationToken: TestContext.Current.CancellationToken);
            var results = await engine.GenerateBatchAsync([.. cases.Select(golden => GenerationRequest.FromTokenIds(golden.Ids, Greedy(golden.Greedy.Length) with { IgnoreEos = true }))], cancellationToken: TestContext.Current.CancellationToken);
            foreach (var (golden, result) in cases.Zip(results))
                Assert.Equal(golden.Greedy, result.Outputs[0].TokenIds);
        }
    }

    [Fact]
    public async Task Greedy_float32_ids_of_tiny_r1_are_those_of_the_cpu()
    {
        var requests = Requests(24);
        var expected = await RunAsync(Options(TestPaths.TinyR1, "float32") with { Device = "cpu" }, requests);
        Assert.Equal(expected.Select(Ids), (await RunAsync(Options(TestPaths.TinyR1, "float32"), requests)).Select(Ids));
    }

    [Fact]
    public async Task Greedy_bfloat16_ids_part_from_the_cpus_only_at_near_ties()
    {
        var expected = await RunAsync(Options(TestPaths.TinyR1, "bfloat16") with { Device = "cpu" }, Requests(24, allLogprobs: true));
        AssertEqualButForNearTies(expected, await RunAsync(Options(TestPaths.TinyR1, "bfloat16"), Requests(24)));
    }

    [Fact]
    public async Task Recorded_steps_give_what_eager_ones_give()
    {
        // Requests run one after another, so that both engines run the same kernels on the same rows.
        var requests = Requests(8);
        var graphs = new List<GenerationResult>();
        var eager = new List<GenerationResult>();
        foreach (var (results, isEager) in ((List<GenerationResult>, bool)[])[(graphs, false), (eager, true)])
        {
            await using var engine = await SuiteExecutor.LoadAsync(Options(TestPaths.TinyR1, "bfloat16") with { EnforceEager = isEager }, cancellationToken: TestContext.Current.CancellationToken);
            foreach (var request in requests)
                results.Add(await engine.CompleteAsync(request, TestContext.Current.CancellationToken));
        }

        Assert.Equal(eager.Select(Ids), graphs.Select(Ids));
    }

    [Theory]
    [InlineData("tiny-v3", 8)]
    [InlineData("tiny-v3-fp8", 8)]
    [InlineData("tiny-v3", 2)]
    public async Task Recorded_steps_of_a_model_with_experts_give_what_eager_ones_give(string name, int sequences)
    {
        CardTypes.SkipBeforeAmpere();
        // Requests run one after another, so that both engines run the same kernels on the same rows.
        var requests = Requests(8);
        var results = new List<string[]>();
        foreach (var isEager in (bool[])[false, true])
        {
            var options = Options(TestPaths.Shared("models", name), "bfloat16") with { EnforceEager = isEager, MaxNumSeqs = sequences };
            await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
            Assert.Equal(sequences, engine.Plan.MaxRecordedRows);
            var ids = new List<string>();
            foreach (var request in requests)
                ids.Add(Ids(await engine.CompleteAsync(request, TestContext.Current.CancellationToken)));
            results.Add([.. ids]);
        }

        Assert.Equal(results[1], results[0]);
    }

    // Several sequences grow by one token per step, with and without padding rows.
    [Theory]
    [InlineData("tiny-v3")]
    [InlineData("tiny-v3-fp8")]
    public void A_recorded_step_of_several_sequences_gives_the_bits_of_the_step_itself(string name)
    {
        CardTypes.SkipBeforeAmpere();
        const int maxRows = 12, maxModelLen = 64;
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var ops = new CudaOps(0);
        using var bare = new BareModel(TestPaths.Shared("models", name), ops, ScalarType.BFloat16, maxModelLen);
        bare.Model.PreparePositions();
        Assert.Equal(128, bare.Model.MaxRecordedRows);
        var caches = new[] { false, true }.Select(_ => KvCacheTensors.Allocate(ops, bare.Model.KvCache, maxRows, ScalarType.BFloat16)).ToArray();
        using var recorded = new DecodeGraphs(bare.Model, ops, caches[0], maxRows, maxModelLen, eager: false);
        using var eager = new DecodeGraphs(bare.Model, ops, caches[1], maxRows, maxModelLen, eager: true);
        recorded.CaptureAll();
        foreach (var (sequences, first) in ((int, int)[])[(1, 0), (3, 1), (5, 4), (12, 7)])
        {
            for (var position = 0; position < 4; position++)
            {
                using var metadata = new AttentionMetadata();
                bare.Model.BeginStep();
                for (var sequence = 0; sequence < sequences; sequence++)
                {
                    metadata.Sequences.Add(new(sequence, 1, position + 1, sequence));
                    metadata.BlockTables.Add(sequence);
                    bare.Model.AddPositions(metadata, position, 1, 1);
                    metadata.SlotMapping.Add((sequence * AttentionMetadata.BlockSize) + position);
                }

                var ids = Enumerable.Range(0, sequences).Select(sequence => 100 + (37 * (first + sequence)) + (5 * position)).ToArray();
                var results = new[] { recorded, eager }.Select(graphs =>
                    graphs.TryReplay(ids, metadata)!.narrow(0, 0, sequences).to(float32).cpu().data<float>().ToArray()).ToArray();
                Assert.Equal(results[1], results[0]);
                Assert.True(results[0].Distinct().Count() > 100);
            }
        }

        foreach (var cache in caches.SelectMany(all => all))
            cache.Dispose();
    }

    [Fact]
    public async Task Steps_of_experts_are_not_recorded_in_float32_and_give_what_the_cpu_gives()
    {
        var options = Options(TestPaths.Shared("models", "tiny-v3"), "float32");
        var requests = Requests(6);
        var expected = await RunAsync(options with { Device = "cpu" }, requests);
        await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(0, engine.Plan.MaxRecordedRows);
        var results = await engine.GenerateBatchAsync(requests, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(expected.Select(Ids), results.Select(Ids));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Experts_are_as_evenly_used_as_on_the_cpu(bool eager)
    {
        // Three requests at once: recorded steps are padded to four rows, and the padding row holds no request's token. A device that runs
        // ahead reports its counts every 64th step.
        var prompts = Enumerable.Range(0, 3).Select(i => GenerationRequest.FromTokenIds([300 + i, 301, 302, 17 * (i + 1)], Greedy(100) with { IgnoreEos = true })).ToArray();
        var balances = new List<double>();
        foreach (var device in (string[])["cpu", "cuda"])
        {
            var options = Options(TestPaths.Shared("models", "tiny-v3"), "bfloat16") with { Device = device, EnforceEager = eager };
            await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
            Assert.Null(engine.Statistics.ExpertBalance);
            await engine.GenerateBatchAsync(prompts, cancellationToken: TestContext.Current.CancellationToken);
            balances.Add(engine.Statistics.ExpertBalance!.Value);
        }

        Assert.Equal(balances[0], balances[1], 0.1); // the texts may diverge at a near tie
    }

    [Fact]
    public async Task Requests_in_a_crowd_give_what_they_give_alone()
    {
        var options = Options(TestPaths.TinyR1, "bfloat16") with { MaxNumBatchedTokens = 512 };
        var crowd = await RunAsync(options, Requests(256));
        await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        var alone = new List<GenerationResult>();
        foreach (var request in Requests(256, allLogprobs: true))
            alone.Add(await engine.CompleteAsync(request, TestContext.Current.CancellationToken));
        AssertEqualButForNearTies(alone, crowd);
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    [Fact]
    public async Task Seeded_requests_draw_on_the_gpu_what_they_draw_on_the_cpu()
    {
        // Every kind of sampling that the device does by itself, with and without knowing the tokens before. Rounding may change a few
        // draws.
        SamplingParams[] kinds =
        [
            new() { Temperature = 0.8 }, new() { TopP = 0.7 }, new() { TopK = 5 }, new() { MinP = 0.1, Temperature = 1.3 },
            new() { FrequencyPenalty = 0.5 }, new() { RepetitionPenalty = 1.2, TopP = 0.9 }, new() { MinTokens = 20, TopK = 50 }, new() { BadWords = ["the"] },
        ];
        GenerationRequest[] requests = [.. Enumerable.Range(0, 48).Select(i =>
            GenerationRequest.FromChat([new("user", $"Tell me about the number {i}.")], kinds[i % kinds.Length] with { Seed = i, MaxTokens = 30 }))];
        var expected = await RunAsync(Options(TestPaths.TinyR1, "float32") with { Device = "cpu" }, requests);
        var actual = await RunAsync(Options(TestPaths.TinyR1, "float32"), requests);
        Assert.True(expected.Select(Ids).Zip(actual.Select(Ids)).Count(pair => pair.First == pair.Second) >= 45);
    }

    [Fact]
    public async Task A_request_that_the_host_samples_moves_no_other_requests_draws()
    {
        // The one-token prompts join whatever step is next, even one that is submitted while earlier tokens are still being sampled.
        GenerationRequest Seeded(int i) => GenerationRequest.FromTokenIds([300 + i, 301, 302], new() { Temperature = 1, Seed = i, MaxTokens = 60, IgnoreEos = true });
        await using var engine = await SuiteExecutor.LoadAsync(Options(TestPaths.TinyR1, "float32"), cancellationToken: TestContext.Current.CancellationToken);
        var alone = new List<string>();
        for (var i = 0; i < 4; i++)
            alone.Add(Ids(await engine.CompleteAsync(Seeded(i), TestContext.Current.CancellationToken)));
        for (var round = 0; round < 5; round++)
        {
            var together = Enumerable.Range(0, 4).Select(i => engine.CompleteAsync(Seeded(i), TestContext.Current.CancellationToken)).ToArray();
            while (!Array.TrueForAll(together, task => task.IsCompleted))
                await engine.CompleteAsync(GenerationRequest.FromTokenIds([5], new() { MaxTokens = 1, Logprobs = 1 }), TestContext.Current.CancellationToken);
            Assert.Equal(alone, (await Task.WhenAll(together)).Select(Ids));
        }
    }

    private static EngineOptions Options(string folder, string dtype) => new() { ModelPath = folder, Dtype = CardTypes.NameOf(dtype), Device = "cuda", GpuMemoryUtilization = 0.5 };

    internal static SamplingParams Greedy(int maxTokens) => new() { Temperature = 0, MaxTokens = maxTokens };

    internal static string Ids(GenerationResult result) => result.Error?.Message ?? string.Join(' ', result.Outputs[0].TokenIds);

    // Log-probabilities show near ties. Unless allLogprobs is set, every third request goes without them, which leaves the choice to the
    // device.
    internal static GenerationRequest[] Requests(int count, bool allLogprobs = false) => [.. Enumerable.Range(0, count).Select(i =>
    {
        var text = (i % 4) switch
        {
            0 => $"What is {i} + {(7 * i) % 90}?",
            1 => $"Write a short story about {(i % 8 < 4 ? "Oscar the young wolf" : "Mona the old fox")}.",
            2 => $"Count from {i % 20} to {(i % 20) + 5}.",
            _ => string.Concat(Enumerable.Repeat("one two three ", (i % 30) + 1)),
        };
        return GenerationRequest.FromChat([new("user", text)], Greedy(24 + (i % 40)) with { Logprobs = i % 3 == 0 && !allLogprobs ? null : 2 });
    })];

    internal static async Task<IReadOnlyList<GenerationResult>> RunAsync(EngineOptions options, GenerationRequest[] requests)
    {
        await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        return await engine.GenerateBatchAsync(requests, cancellationToken: TestContext.Current.CancellationToken);
    }

    internal static void AssertEqualButForNearTies(IReadOnlyList<GenerationResult> expected, IReadOnlyList<GenerationResult> actual)
    {
        foreach (var (one, other) in expected.Zip(actual))
        {
            var (position, gap) = Parting(one, other);
            Assert.True(gap <= BFloat16NearTie, $"parted at {position} with a gap of {gap}");
        }
    }

    /// <summary>
    /// The position at which two responses diverge, and the gap between the two leading log-probabilities of the first response there; 0 if
    /// the responses are the same.
    /// </summary>
    internal static (int Position, double Gap) Parting(GenerationResult one, GenerationResult other)
    {
        Assert.Null(one.Error);
        Assert.Null(other.Error);
        var (a, b) = (one.Outputs[0], other.Outputs[0]);
        var parting = a.TokenIds.Zip(b.TokenIds).TakeWhile(pair => pair.First == pair.Second).Count();
        if (parting == Math.Max(a.TokenIds.Count, b.TokenIds.Count))
            return (parting, 0);
        var top = a.Logprobs![parting].Top;
        return (parting, top[0].Logprob - top[1].Logprob);
    }
}
