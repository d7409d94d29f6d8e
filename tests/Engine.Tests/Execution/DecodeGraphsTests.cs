using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>For which numbers of rows decode steps are recorded, and which steps are replayed.</summary>
public class DecodeGraphsTests
{
    public DecodeGraphsTests() => TorchLibrary.EnsureLoaded();

    [Theory]
    [InlineData(1, new[] { 1 })]
    [InlineData(12, new[] { 1, 2, 4, 8, 12 })]
    [InlineData(128, new[] { 1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128 })]
    public void No_larger_step_is_recorded_or_replayed_than_the_model_allows(int maxRows, int[] sizes)
    {
        var capture = new CountingCapture();
        using var graphs = new DecodeGraphs(new WidthModel(), capture, [], maxRows, 64, eager: false);
        graphs.CaptureAll();
        Assert.Equal(sizes, capture.Sizes.Distinct().Order());
        Assert.Null(graphs.TryReplay(new int[maxRows + 1], new()));
        Assert.Equal(maxRows + 1, graphs.PaddedRows(maxRows + 1));
        for (var rows = 1; rows <= maxRows; rows++)
        {
            var padded = sizes.First(size => size >= rows);
            Assert.Equal(padded, graphs.PaddedRows(rows));
            Assert.Equal(padded, graphs.TryReplay(new int[rows], new())!.size(0));
        }

        Assert.Equal(maxRows, capture.Launches);
        Assert.Equal(maxRows, capture.Sizes.Max());
    }

    /// <summary>A model whose logits are all zero.</summary>
    private sealed class WidthModel : ICausalLanguageModel
    {
        public KvCacheSpec KvCache { get; } = new([]);

        public int VocabularySize => 3;

        public int? PromptLengthThreshold => null;

        public int MaxRecordedRows => int.MaxValue;

        public void PreparePositions()
        {
        }

        public void BeginStep()
        {
        }

        public void AddPositions(AttentionMetadata step, int firstPosition, int count, int promptLength)
        {
        }

        public Tensor Forward(Tensor ids, ForwardContext context) => zeros(ids.size(0), 2);

        public Tensor ComputeLogits(Tensor hidden) => zeros(hidden.size(0), VocabularySize);

        public void Dispose()
        {
        }
    }
}
