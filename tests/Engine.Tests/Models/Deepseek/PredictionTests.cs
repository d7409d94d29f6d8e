using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.Ops.Cpu;
using LocalLlm.Tests.Execution;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Deepseek;

/// <summary>Multi-token prediction drafts what its layer predicts, and changes no generated token.</summary>
public class PredictionTests
{
    private static readonly int[] s_prompt = [5, 17, 3, 99, 42, 8, 8, 61, 23, 77, 104, 2, 50, 31, 90, 12, 66, 7, 19];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // The projection passes on either the model's output, which drafts the model's own choice again, or the embedding, which drafts a
    // function of the token before.
    [Theory]
    [InlineData(0f, 1f, 1)]
    [InlineData(0f, 1f, 3)]
    [InlineData(1f, 0f, 1)]
    [InlineData(1f, 0f, 3)]
    public async Task Drafts_are_what_the_layer_makes_of_the_next_tokens_embedding_and_of_the_models_output(float ofEmbedding, float ofHidden, int drafts)
    {
        using var folder = new DeepseekFolder(config => config["num_nextn_predict_layers"] = 1, weights =>
        {
            // The model itself then chooses by the last token's embedding too, so some of these drafts are right.
            foreach (var name in weights.Keys.Where(name => ofEmbedding > 0 && (name.Contains("o_proj", StringComparison.Ordinal) || name.Contains("down_proj", StringComparison.Ordinal))).ToArray())
                weights[name] *= 0.02f;
            DeepseekFolder.AddPrediction(weights, ofEmbedding, ofHidden);
        });
        var follows = ofHidden > 0 ? token => token : FollowerOfEmbedding(folder.Path);
        foreach (var layout in (string[])["tp1", "tp2", "pp2", "pp3", "tp2pp2"])
        {
            var (plain, _) = await GenerateAsync(folder, layout, null);
            var (ids, figures) = await GenerateAsync(folder, layout, new() { Method = "mtp", NumSpeculativeTokens = drafts });
            Assert.Equal(plain, ids);
            Assert.Equal(Accepted(ids[0], follows, drafts), figures!.AcceptedTokens);
            Assert.True(figures.AcceptedTokens > 0, "nothing was accepted: choose another prompt");
        }
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(4, false)]
    [InlineData(1, true)]
    [InlineData(3, true)]
    public async Task Tokens_are_those_without_drafts_in_batches_chunks_and_small_caches(int drafts, bool runsAhead)
    {
        using var folder = new DeepseekFolder(config => config["num_nextn_predict_layers"] = 1, weights => DeepseekFolder.AddPrediction(weights, 0.5f, 1f));
        var random = new Random(4);
        var requests = Enumerable.Range(0, 12).Select(i => GenerationRequest.FromTokenIds(
            [.. s_prompt.Take(3), .. Enumerable.Range(0, random.Next(1, 60)).Select(_ => random.Next(112))],
            new()
            {
                Temperature = i % 3 == 0 ? 0 : 0.8, Seed = i, MaxTokens = 5 + i, IgnoreEos = true, N = i % 4 == 1 ? 2 : 1,
                FrequencyPenalty = i % 5 == 2 ? 0.5 : 0, Logprobs = i % 5 == 3 ? 2 : null,
            })).ToArray();
        // Few blocks cause preemptions; a small token budget splits prompts into chunks.
        var options = new EngineOptions
        {
            MaxNumBatchedTokens = 24, MaxNumSeqs = 8, NumGpuBlocksOverride = 14, MaxModelLen = 128,
            ExecutorFactory = runsAhead ? new DecoratingFactory(inner => new AheadExecutor(inner)) : new DeviceExecutorFactory(),
        };
        await using var plain = await LoadAsync(folder, options);
        await using var drafting = await LoadAsync(folder, options with { Speculation = new() { Method = "mtp", NumSpeculativeTokens = drafts } });
        for (var round = 0; round < 2; round++) // the second finds prompts in the prefix cache
        {
            var wanted = await plain.GenerateBatchAsync(requests, cancellationToken: Token);
            var got = await drafting.GenerateBatchAsync(requests, cancellationToken: Token);
            Assert.Equal(wanted.SelectMany(result => result.Outputs.Select(output => output.TokenIds)), got.SelectMany(result => result.Outputs.Select(output => output.TokenIds)));
        }

        Assert.True(drafting.Statistics.Speculation!.AcceptedTokens > 0);
        Assert.Equal(drafting.Statistics.KvBlocksTotal, drafting.Statistics.KvBlocksFree);
    }

    // This tests the layer's own cache: prompts in chunks, recomputed sequences, positions behind the step, and the end of the context.
    [Theory]
    [InlineData("tp1", 1)]
    [InlineData("tp1", 4)]
    [InlineData("tp2", 4)]
    [InlineData("pp2", 4)]
    public Task Drafts_are_those_of_the_whole_sequence_at_once(string layout, int drafts) => AssertDraftsAsync("cpu", layout, drafts);

    /// <summary>
    /// Compares the drafts of a device's ranks with those that the CPU computes from the whole sequence at once. A few may differ, because
    /// the device adds in another order.
    /// </summary>
    internal static async Task AssertDraftsAsync(string device, string layout, int drafts)
    {
        const int length = 100; // not a multiple of the block size
        using var folder = new DeepseekFolder(config => config["num_nextn_predict_layers"] = 1, DeepseekFolder.AddRandomPrediction);
        var executor = default(DraftRecorder);
        var options = RankLayout.Find(layout)!.Of(new()
        {
            ModelPath = folder.Path, Device = device, Dtype = "float32", SkipTokenizerInit = true, MaxModelLen = length, EnablePrefixCaching = false,
            MaxNumBatchedTokens = 24, MaxNumSeqs = 8, NumGpuBlocksOverride = 14, Speculation = new() { Method = "mtp", NumSpeculativeTokens = drafts },
            ExecutorFactory = new DecoratingFactory(inner => executor = new(inner)),
        });
        var random = new Random(6);
        var requests = new[] { 3, 40, 17, 60, 90 }.Select(count => GenerationRequest.FromTokenIds(
            [.. Enumerable.Range(0, count).Select(_ => random.Next(112))], new() { Temperature = 0, MaxTokens = Math.Min(30, length - count), IgnoreEos = true })).ToArray();
        await using (var engine = await LlmEngine.LoadAsync(options, cancellationToken: Token))
        {
            Assert.All(await engine.GenerateBatchAsync(requests, cancellationToken: Token), result => Assert.Null(result.Error));
            // A GPU's steps run ahead, and wait where they would preempt.
            Assert.True(device != "cpu" || engine.Statistics.Preemptions > 0, "nothing was preempted: give fewer blocks");
        }

        using var whole = new BareModel(folder.Path, new CpuOps(), ScalarType.Float32, predicts: true);
        Assert.True(executor!.Drafts.Count > 60);
        Assert.Contains(executor.Drafts, draft => draft.Ids.Length == drafts);
        var some = executor.Drafts.Where((_, i) => i % 3 == 0).ToArray();
        var others = some.Count(draft => !whole.Drafts(draft.Tokens, draft.Ids.Length).SequenceEqual(draft.Ids));
        Assert.True(others <= (device == "cpu" ? 0 : some.Length / 20), $"{others} of {some.Length} drafts are others");
    }

    [Fact]
    public async Task Without_such_a_layer_the_method_is_refused_before_weights_are_read()
    {
        using var folder = new DeepseekFolder();
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LoadAsync(folder, new() { Speculation = new() { Method = "mtp", NumSpeculativeTokens = 1 } }));
        Assert.Equal("speculative_config", refusal.Parameter);
        Assert.Contains("num_nextn_predict_layers", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_layer_that_the_file_lacks_is_missing_by_name()
    {
        using var folder = new DeepseekFolder(config => config["num_nextn_predict_layers"] = 1);
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LoadAsync(folder, new() { Speculation = new() { Method = "mtp", NumSpeculativeTokens = 1 } }));
        Assert.Equal(EngineErrorKind.ModelFolder, refusal.Kind);
        Assert.Contains("missing model.layers.3.", refusal.Message, StringComparison.Ordinal);
    }

    private sealed class DraftRecorder(IStepExecutor inner) : IStepExecutor
    {
        private readonly Dictionary<long, List<int>> _tokens = [];

        public ExecutorCapabilities Capabilities => inner.Capabilities;

        /// <summary>All known tokens of a sequence, and the drafts behind them.</summary>
        public List<(int[] Tokens, int[] Ids)> Drafts { get; } = [];

        public bool Submit(SchedulerOutput step)
        {
            foreach (var sequence in step.NewSequences)
                _tokens[sequence.Id] = [.. sequence.PromptTokenIds.Span];
            return inner.Submit(step);
        }

        public StepResult Complete()
        {
            var result = inner.Complete();
            foreach (var sequence in result.Sequences)
            {
                _tokens[sequence.SequenceId].AddRange(sequence.Sampled.ToArray().Select(token => token.TokenId));
                if (!sequence.Drafts.IsEmpty)
                    Drafts.Add(([.. _tokens[sequence.SequenceId]], sequence.Drafts.ToArray()));
            }

            return result;
        }

        public void Abort(Exception reason) => inner.Abort(reason);

        public void Dispose() => inner.Dispose();
    }

    // Each step verifies the drafts behind the last known token. It yields the correct ones and one more token.
    private static long Accepted(IReadOnlyList<int> output, Func<int, int> follows, int drafts)
    {
        long accepted = 0;
        for (var known = 1; known < output.Count;)
        {
            var (right, token) = (0, output[known - 1]);
            // The last token of the output is never drafted: nothing would follow it.
            while (right < drafts && known + right < output.Count - 1 && (token = follows(token)) == output[known + right])
                right++;
            accepted += right;
            known += right + 1;
        }

        return accepted;
    }

    // The token whose row of the head has the largest product with a token's normalised embedding.
    private static Func<int, int> FollowerOfEmbedding(string folder)
    {
        TorchLibrary.EnsureLoaded();
        using var file = SafetensorsFile.Open(Path.Combine(folder, "model.safetensors"));
        var (embedding, head) = (Read("model.embed_tokens.weight"), Read("lm_head.weight"));
        return token => (int)head.matmul(embedding[token] / embedding[token].square().mean().sqrt()).argmax().item<long>();

        Tensor Read(string name)
        {
            var info = file.Tensors[name];
            return tensor(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(file.Bytes(info)).ToArray()).view(info.Shape);
        }
    }

    private static async Task<(IReadOnlyList<int>[] Ids, SpeculationStatistics? Figures)> GenerateAsync(DeepseekFolder folder, string layout, SpeculationOptions? speculation)
    {
        await using var engine = await LoadAsync(folder, RankLayout.Find(layout)!.Of(new() { Speculation = speculation }));
        var request = GenerationRequest.FromTokenIds(s_prompt, new() { Temperature = 0, MaxTokens = 40, IgnoreEos = true });
        var result = await engine.CompleteAsync(request, Token);
        Assert.Null(result.Error);
        return ([result.Outputs[0].TokenIds], engine.Statistics.Speculation);
    }

    private static Task<LlmEngine> LoadAsync(DeepseekFolder folder, EngineOptions options)
    {
        SuiteExecutor.SkipInAnotherProcess();
        return LlmEngine.LoadAsync(
            options with { ModelPath = folder.Path, Device = "cpu", Dtype = "float32", SkipTokenizerInit = true, ExecutorFactory = options.ExecutorFactory ?? new DeviceExecutorFactory() },
            cancellationToken: Token);
    }
}
