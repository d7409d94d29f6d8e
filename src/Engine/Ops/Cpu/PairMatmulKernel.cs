using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// bfloat16 x · Wᵀ + bias for any number of rows, over the panels of <see cref="MatvecKernel"/>: 64 outputs, pairs of inputs. Every output
/// of every row has one sum in float32. The products of the pairs of inputs are added to it from the first pair to the last, the odd input
/// of a pair before the even one. So a row's result depends neither on the other rows nor on how the work is cut: it has the same bits
/// alone and in any batch, which library GEMMs do not guarantee.
/// </summary>
internal unsafe struct PairMatmulKernel : IRangeKernel
{
    // Number of rows whose sums are kept while the weights of a slice of inputs stay in the core's own cache.
    private const int RowsPerBlock = 16 * DotProductCode.MaxRows;

    // Pairs of inputs of a slice: half a MiB of weights.
    private const int PairsPerSlice = 2048;

    private const int PanelWidth = MatvecKernel.PanelWidth;

    /// <summary>[rows, pairs, 2].</summary>
    public ushort* Input;

    /// <summary>The panels, zero past the last output and input.</summary>
    public uint* Panels;

    /// <summary>[out] or null.</summary>
    public ushort* Bias;

    /// <summary>[rows, out].</summary>
    public ushort* Output;

    public int Rows;
    public int Pairs;
    public int OutFeatures;

    /// <summary>
    /// The functions of <see cref="DotProductCode"/> by number of rows, from 1 on. Null, if the CPU or the system does not allow them: .NET
    /// code computes the same sums.
    /// </summary>
    public nint* Functions;

    /// <summary>Items are panels.</summary>
    [SkipLocalsInit]
    public readonly void Run(long begin, long end)
    {
        var sums = stackalloc float[RowsPerBlock * PanelWidth];
        for (var panel = begin; panel < end; panel++)
        {
            for (var row = 0; row < Rows; row += RowsPerBlock)
            {
                var rows = Math.Min(RowsPerBlock, Rows - row);
                new Span<float>(sums, rows * PanelWidth).Clear();
                for (var pair = 0; pair < Pairs; pair += PairsPerSlice)
                    AddSlice(row, rows, panel, pair, Math.Min(PairsPerSlice, Pairs - pair), sums);
                Store(sums, rows, row, panel);
            }
        }
    }

    private readonly void AddSlice(int firstRow, int rows, long panel, int firstPair, int pairs, float* sums)
    {
        var weights = Panels + (((panel * Pairs) + firstPair) * PanelWidth);
        var input = Input + (2 * (((long)firstRow * Pairs) + firstPair));
        if (Functions == null)
        {
            AddRows((uint*)input, rows, weights, pairs, sums);
            return;
        }

        while (rows > 0)
        {
            var count = Math.Min(rows, DotProductCode.MaxRows);
            ((delegate* unmanaged<ushort*, nint, uint*, nint, float*, void>)Functions[count - 1])(input, 4 * Pairs, weights, pairs, sums);
            rows -= count;
            input += 2L * count * Pairs;
            sums += count * PanelWidth;
        }
    }

    private readonly void AddRows(uint* input, int rows, uint* weights, int pairs, float* sums)
    {
        var row = 0;
        for (; row + 4 <= rows; row += 4)
        {
            for (var half = 0; half < PanelWidth; half += PanelWidth / 2)
                AddFourRows(input + ((long)row * Pairs), Pairs, weights + half, pairs, sums + (row * PanelWidth) + half);
        }

        for (; row < rows; row++)
            AddRow(input + ((long)row * Pairs), weights, pairs, sums + (row * PanelWidth));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddRow(uint* input, uint* weights, int pairs, float* sums)
    {
        var upper = Vector512.Create(0xFFFF0000u);
        var (a0, a1, a2, a3) = (Vector512.Load(sums), Vector512.Load(sums + 16), Vector512.Load(sums + 32), Vector512.Load(sums + 48));
        for (var pair = 0; pair < pairs; pair++, weights += PanelWidth)
        {
            var x = Vector512.Create(input[pair]);
            var (even, odd) = ((x << 16).AsSingle(), (x & upper).AsSingle());
            var (w0, w1, w2, w3) = (Vector512.Load(weights), Vector512.Load(weights + 16), Vector512.Load(weights + 32), Vector512.Load(weights + 48));
            a0 = Add((w0 << 16).AsSingle(), (w0 & upper).AsSingle(), even, odd, a0);
            a1 = Add((w1 << 16).AsSingle(), (w1 & upper).AsSingle(), even, odd, a1);
            a2 = Add((w2 << 16).AsSingle(), (w2 & upper).AsSingle(), even, odd, a2);
            a3 = Add((w3 << 16).AsSingle(), (w3 & upper).AsSingle(), even, odd, a3);
        }

        a0.Store(sums);
        a1.Store(sums + 16);
        a2.Store(sums + 32);
        a3.Store(sums + 48);
    }

    // The same sums in .NET, for half a panel.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddFourRows(uint* input, int stride, uint* weights, int pairs, float* sums)
    {
        var upper = Vector512.Create(0xFFFF0000u);
        var x1 = input + stride;
        var x2 = x1 + stride;
        var x3 = x2 + stride;
        var (a0, b0) = (Vector512.Load(sums), Vector512.Load(sums + 16));
        var (a1, b1) = (Vector512.Load(sums + PanelWidth), Vector512.Load(sums + PanelWidth + 16));
        var (a2, b2) = (Vector512.Load(sums + (2 * PanelWidth)), Vector512.Load(sums + (2 * PanelWidth) + 16));
        var (a3, b3) = (Vector512.Load(sums + (3 * PanelWidth)), Vector512.Load(sums + (3 * PanelWidth) + 16));
        for (var pair = 0; pair < pairs; pair++, weights += PanelWidth)
        {
            var (wa, wb) = (Vector512.Load(weights), Vector512.Load(weights + 16));
            var (evenA, oddA, evenB, oddB) = ((wa << 16).AsSingle(), (wa & upper).AsSingle(), (wb << 16).AsSingle(), (wb & upper).AsSingle());
            AddPair(input[pair], evenA, oddA, evenB, oddB, upper, ref a0, ref b0);
            AddPair(x1[pair], evenA, oddA, evenB, oddB, upper, ref a1, ref b1);
            AddPair(x2[pair], evenA, oddA, evenB, oddB, upper, ref a2, ref b2);
            AddPair(x3[pair], evenA, oddA, evenB, oddB, upper, ref a3, ref b3);
        }

        StorePair(sums, a0, b0);
        StorePair(sums + PanelWidth, a1, b1);
        StorePair(sums + (2 * PanelWidth), a2, b2);
        StorePair(sums + (3 * PanelWidth), a3, b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddPair(
        uint pair, Vector512<float> evenA, Vector512<float> oddA, Vector512<float> evenB, Vector512<float> oddB, Vector512<uint> upper,
        ref Vector512<float> a, ref Vector512<float> b)
    {
        var x = Vector512.Create(pair);
        var (even, odd) = ((x << 16).AsSingle(), (x & upper).AsSingle());
        a = Add(evenA, oddA, even, odd, a);
        b = Add(evenB, oddB, even, odd, b);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(
        Vector512<float> evenWeights, Vector512<float> oddWeights, Vector512<float> even, Vector512<float> odd, Vector512<float> sum) =>
        Vector512.FusedMultiplyAdd(evenWeights, even, Vector512.FusedMultiplyAdd(oddWeights, odd, sum));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StorePair(float* sums, Vector512<float> a, Vector512<float> b)
    {
        a.Store(sums);
        b.Store(sums + 16);
    }

    private readonly void Store(float* sums, int rows, int firstRow, long panel)
    {
        var first = panel * PanelWidth;
        var count = (int)Math.Min(PanelWidth, OutFeatures - first);
        for (var row = 0; row < rows; row++, sums += PanelWidth)
        {
            var target = Output + ((long)(firstRow + row) * OutFeatures) + first;
            var i = 0;
            for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
            {
                var sum = Vector512.Load(sums + i);
                BFloat16Element.Store(Bias == null ? sum : sum + BFloat16Element.Load(Bias + first + i), target + i);
            }

            for (; i < count; i++)
                target[i] = BFloat16Element.FromSingle(Bias == null ? sums[i] : sums[i] + BFloat16Element.ToSingle(Bias[first + i]));
        }
    }
}
