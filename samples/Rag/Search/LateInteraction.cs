using System.Numerics;
using System.Numerics.Tensors;

namespace LocalLlm.Samples.Rag.Search;

/// <summary>ColBERT's comparison of two texts token by token; nearly all of the time that a search over many passages takes.</summary>
internal static class LateInteraction
{
    // So many tokens of the query read each vector of the text together.
    private const int Lanes = 4;

    /// <summary>The mean over the query's tokens of their best match among the text's.</summary>
    /// <param name="query">[tokens × width]</param>
    /// <param name="text">[tokens × width]</param>
    /// <param name="width">Of a token's vector.</param>
    public static double Score(float[] query, float[] text, int width)
    {
        if (query.Length == 0 || text.Length == 0)
            return 0;
        var (sum, row) = (0.0, 0);
        for (; row + (Lanes * width) <= query.Length; row += Lanes * width)
            sum += BestOfFour(query, row, text, width);
        for (; row < query.Length; row += width)
        {
            var best = float.NegativeInfinity;
            for (var other = 0; other < text.Length; other += width)
                best = Math.Max(best, TensorPrimitives.Dot<float>(query.AsSpan(row, width), text.AsSpan(other, width)));
            sum += best;
        }

        return sum / (query.Length / width);
    }

    private static double BestOfFour(float[] query, int row, float[] text, int width)
    {
        var (best0, best1, best2, best3) = (float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity);
        var (row1, row2, row3) = (row + width, row + (2 * width), row + (3 * width));
        for (var other = 0; other < text.Length; other += width)
        {
            var (sum0, sum1, sum2, sum3) = (Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero);
            var k = 0;
            for (; k + Vector<float>.Count <= width; k += Vector<float>.Count)
            {
                var vector = new Vector<float>(text, other + k);
                sum0 = Vector.FusedMultiplyAdd(vector, new(query, row + k), sum0);
                sum1 = Vector.FusedMultiplyAdd(vector, new(query, row1 + k), sum1);
                sum2 = Vector.FusedMultiplyAdd(vector, new(query, row2 + k), sum2);
                sum3 = Vector.FusedMultiplyAdd(vector, new(query, row3 + k), sum3);
            }

            var (dot0, dot1, dot2, dot3) = (Vector.Sum(sum0), Vector.Sum(sum1), Vector.Sum(sum2), Vector.Sum(sum3));
            for (; k < width; k++)
            {
                var number = text[other + k];
                dot0 += number * query[row + k];
                dot1 += number * query[row1 + k];
                dot2 += number * query[row2 + k];
                dot3 += number * query[row3 + k];
            }

            (best0, best1, best2, best3) = (Math.Max(best0, dot0), Math.Max(best1, dot1), Math.Max(best2, dot2), Math.Max(best3, dot3));
        }

        return (double)best0 + best1 + best2 + best3;
    }
}
