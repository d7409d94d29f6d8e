using LocalLlm.Interop;
using LocalLlm.Ops;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares attention in chunks of rows with attention over all scores at once, written out element by element.</summary>
public sealed class ChunkedAttentionTests
{
    private const int HeadDim = 8;

    public ChunkedAttentionTests() => TorchLibrary.EnsureLoaded();

    [Theory]
    [InlineData(4, 2, 37, 37, null, 1L << 20)]
    [InlineData(4, 2, 37, 37, null, 200)]
    [InlineData(4, 4, 5, 60, null, 1)]
    [InlineData(6, 1, 23, 50, 7, 500)]
    [InlineData(6, 1, 23, 50, 1, 1L << 20)]
    public void Rows_see_what_comes_before_them_whatever_the_chunks_are(int heads, int kvHeads, int rows, int positions, int? window, long maxScores)
    {
        using var scope = NewDisposeScope();
        var shape = new AttentionShape(heads, kvHeads, HeadDim, 0.3f, window);
        var queries = Some(rows, heads, 0.37f);
        var (keys, values) = (Some(positions, kvHeads, 0.73f), Some(positions, kvHeads, 1.1f));
        var output = zeros(rows, heads, HeadDim);
        ChunkedAttention.Forward(queries, keys, values, shape, output, maxScores);
        var (q, k, v, found) = (queries.data<float>().ToArray(), keys.data<float>().ToArray(), values.data<float>().ToArray(), output.data<float>().ToArray());
        for (var row = 0; row < rows; row++)
        {
            for (var head = 0; head < heads; head++)
            {
                var own = positions - rows + row;
                var first = window is { } width ? Math.Max(0, own - width + 1) : 0;
                var kvHead = head / (heads / kvHeads);
                var weights = Enumerable.Range(first, own - first + 1).Select(position => Math.Exp(shape.Scale * Enumerable.Range(0, HeadDim)
                    .Sum(d => (double)q[At(row, head, heads) + d] * k[At(position, kvHead, kvHeads) + d]))).ToArray();
                for (var d = 0; d < HeadDim; d++)
                {
                    var wanted = weights.Select((weight, i) => weight * v[At(first + i, kvHead, kvHeads) + d]).Sum() / weights.Sum();
                    Assert.Equal(wanted, found[At(row, head, heads) + d], 1e-5);
                }
            }
        }
    }

    private static int At(int row, int head, int heads) => ((row * heads) + head) * HeadDim;

    private static Tensor Some(int rows, int heads, float step) =>
        tensor([.. Enumerable.Range(0, rows * heads * HeadDim).Select(i => MathF.Sin(i * step))]).view(rows, heads, HeadDim);
}
