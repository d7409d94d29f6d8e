using LocalLlm.Execution;
using LocalLlm.Models;
using LocalLlm.Parallel;
using LocalLlm.Tests.Weights;
using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>A rank reads its own slices of the files and no more.</summary>
public sealed class RankWeightsTests
{
    private const int Files = 4;

    [Theory]
    [InlineData(2, 1)]
    [InlineData(1, 2)]
    [InlineData(2, 2)]
    [InlineData(4, 1)]
    public void A_rank_reads_its_share_of_a_model_of_several_files_and_at_most_a_twentieth_more(int tensor, int stages)
    {
        using var folder = InSeveralFiles();
        var options = new EngineOptions { ModelPath = folder.Path, Device = "cpu", Dtype = "float32", NumGpuBlocksOverride = 8, MaxModelLen = 64 };
        var config = (DecoderConfig)ModelConfig.Load(folder.Path);
        var plan = new ParallelPlan(tensor, stages, 1);
        var node = NodeRanks.Create(plan, 0, [.. Enumerable.Repeat("cpu", plan.WorldSize)], 1);
        long all = 0;
        foreach (var rank in node.Ranks)
        {
            var read = new BytesRead();
            using var loader = new ModelLoader(options, rank with { Memory = null });
            using var executor = loader.Load(null, read, TestContext.Current.CancellationToken);
            Assert.InRange(read.Bytes, 1, 1.05 * Share(config, plan, rank.Place));
            all += read.Bytes;
        }

        Assert.InRange(all, new FileInfo(Path.Combine(TestPaths.TinyR1, "model.safetensors")).Length * 0.9, double.MaxValue);
    }

    // Matrices are divided by the number of ranks, except for heads that several ranks hold. Norms are whole. The embedding is on the first
    // stage, the head on the last.
    private static double Share(DecoderConfig config, ParallelPlan plan, RankPlace place)
    {
        const int storedBytes = 2;
        var stage = plan.StageOf(place.Stage, config.NumHiddenLayers);
        var (hidden, tensor) = ((double)config.HiddenSize, plan.TensorParallel);
        var kvHeads = Math.Max(1, config.NumKeyValueHeads / tensor);
        var layer = (hidden * config.HeadDim * ((2.0 * config.NumAttentionHeads / tensor) + (2 * kvHeads)))
            + (3 * hidden * config.IntermediateSize / tensor) + (2 * hidden);
        var table = hidden * config.VocabSize / tensor;
        return storedBytes * ((stage.NumLayers * layer) + (stage.IsFirst || stage.IsLast ? table : 0) + (stage.IsLast ? hidden : 0)); // tied: one table
    }

    private static TemporaryFolder InSeveralFiles()
    {
        var folder = new TemporaryFolder();
        File.Copy(Path.Combine(TestPaths.TinyR1, "config.json"), folder["config.json"]);
        using var whole = SafetensorsFile.Open(Path.Combine(TestPaths.TinyR1, "model.safetensors"));
        // Tensors are dealt out to the files in turn, so that every layer is spread over all files.
        foreach (var part in whole.Tensors.Values.Select((tensor, i) => (Tensor: tensor, File: i % Files)).GroupBy(pair => pair.File, pair => pair.Tensor))
        {
            using var writer = SafetensorsWriter.Create(folder[$"model-{part.Key + 1:D5}-of-{Files:D5}.safetensors"],
                [.. part.Select(tensor => new TensorSpec(tensor.Name, tensor.Dtype, tensor.Shape))]);
            foreach (var tensor in part)
                writer.Write(whole.Bytes(tensor));
            writer.Complete();
        }

        return folder;
    }

    private sealed class BytesRead : IProgress<LoadProgress>
    {
        public long Bytes { get; private set; }

        public void Report(LoadProgress value) => Bytes = Math.Max(Bytes, value.BytesDone);
    }
}
