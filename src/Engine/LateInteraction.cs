using System.Numerics;
using System.Runtime.InteropServices;

namespace LocalLlm;

/// <summary>
/// Compares every token of a query with every token of a passage. It takes four query tokens through the passage together, which reads
/// the passage's vectors a quarter as often.
/// </summary>
internal static class LateInteraction
{
    /// <summary>
    /// For each query token, takes the largest dot product with a passage token, and returns the mean. 0 if either text has no tokens.
    /// </summary>
    /// <param name="query">Vectors, [tokens][width].</param>
    /// <param name="passage">Vectors, [tokens][width], of the same width.</param>
    /// <param name="cancellationToken">Cancels the comparison.</param>
    /// <exception cref="InvalidOperationException">The widths differ.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static double Score(IReadOnlyList<IReadOnlyList<float>> query, IReadOnlyList<IReadOnlyList<float>> passage, CancellationToken cancellationToken = default)
    {
        if (query.Count == 0 || passage.Count == 0)
            return 0;
        var rows = RowsOf(query, passage[0].Count);
        var others = RowsOf(passage, passage[0].Count);
        var sum = 0.0;
        var i = 0;
        for (; i + 4 <= rows.Length; i += 4)
        {
            cancellationToken.ThrowIfCancellationRequested();
            sum += BestOfFour(rows[i], rows[i + 1], rows[i + 2], rows[i + 3], others);
        }

        for (; i < rows.Length; i++)
            sum += Best(rows[i], others);
        return sum / rows.Length;
    }

    /// <summary>The dot product of two vectors of the same width.</summary>
    public static double Dot(IReadOnlyList<float> a, IReadOnlyList<float> b) => Dot(RowOf(a, b.Count), RowOf(b, b.Count));

    private static float[][] RowsOf(IReadOnlyList<IReadOnlyList<float>> vectors, int width)
    {
        var rows = new float[vectors.Count][];
        for (var i = 0; i < rows.Length; i++)
            rows[i] = RowOf(vectors[i], width);
        return rows;
    }

    private static float[] RowOf(IReadOnlyList<float> vector, int width) => vector.Count == width
        ? vector as float[] ?? [.. vector]
        : throw new InvalidOperationException($"The vectors have {vector.Count} and {width} dimensions; embeddings of one model were wanted.");

    private static double BestOfFour(ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> c, ReadOnlySpan<float> d, float[][] passage)
    {
        var (bestA, bestB, bestC, bestD) = (float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity);
        var vectorsA = Vectors(a);
        var vectorsB = Vectors(b);
        var vectorsC = Vectors(c);
        var vectorsD = Vectors(d);
        var whole = vectorsA.Length * Vector<float>.Count;
        foreach (var row in passage)
        {
            var vectors = Vectors(row);
            var (sumA, sumB, sumC, sumD) = (Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero);
            for (var i = 0; i < vectors.Length; i++)
            {
                var vector = vectors[i];
                sumA = Vector.MultiplyAddEstimate(vectorsA[i], vector, sumA);
                sumB = Vector.MultiplyAddEstimate(vectorsB[i], vector, sumB);
                sumC = Vector.MultiplyAddEstimate(vectorsC[i], vector, sumC);
                sumD = Vector.MultiplyAddEstimate(vectorsD[i], vector, sumD);
            }

            var (dotA, dotB, dotC, dotD) = (Vector.Sum(sumA), Vector.Sum(sumB), Vector.Sum(sumC), Vector.Sum(sumD));
            for (var i = whole; i < row.Length; i++)
            {
                dotA += a[i] * row[i];
                dotB += b[i] * row[i];
                dotC += c[i] * row[i];
                dotD += d[i] * row[i];
            }

            // MathF.Max propagates NaN, which must not be lost.
            (bestA, bestB, bestC, bestD) = (MathF.Max(bestA, dotA), MathF.Max(bestB, dotB), MathF.Max(bestC, dotC), MathF.Max(bestD, dotD));
        }

        return (double)bestA + bestB + bestC + bestD;
    }

    private static double Best(ReadOnlySpan<float> token, float[][] passage)
    {
        var best = float.NegativeInfinity;
        foreach (var row in passage)
            best = MathF.Max(best, Dot(token, row));
        return best;
    }

    private static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        var vectorsA = Vectors(a);
        var vectorsB = Vectors(b);
        var sum = Vector<float>.Zero;
        for (var i = 0; i < vectorsA.Length; i++)
            sum = Vector.MultiplyAddEstimate(vectorsA[i], vectorsB[i], sum);
        var dot = Vector.Sum(sum);
        for (var i = vectorsA.Length * Vector<float>.Count; i < a.Length; i++)
            dot += a[i] * b[i];
        return dot;
    }

    private static ReadOnlySpan<Vector<float>> Vectors(ReadOnlySpan<float> values) => MemoryMarshal.Cast<float, Vector<float>>(values);
}
