using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// bfloat16 x · Wᵀ + bias for any number of rows, over the panels of <see cref="MatvecKernel"/>: 64 outputs, pairs of inputs. Every output of
/// every row has one sum in float32, to which the pairs of inputs are added from the first to the last, the odd one of a pair before the even
/// one. So a row's result does not depend on the other rows nor on how the work is cut: the same bits alone and in any batch, which library
/// GEMMs do not give.
/// </summary>
internal unsafe struct PairMatmulKernel : IRangeKernel
{
    // Rows whose sums are kept while the weights of a slice of inputs stay in the core's own cache.
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
    /// The functions of <see cref="DotProductCode"/> by their number of rows, from 1 on; null: the same sums by what .NET has, where the CPU or
    /// the system does not allow them.
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
        while (rows > 0)
        {
            var count = Math.Min(rows, DotProductCode.MaxRows);
            if (Functions != null)
                ((delegate* unmanaged<ushort*, nint, uint*, nint, float*, void>)Functions[count - 1])(input, 4 * Pairs, weights, pairs, sums);
            else
            {
                for (var row = 0; row < count; row++)
                    AddRow(input + (2L * row * Pairs), weights, pairs, sums + (row * PanelWidth));
            }

            rows -= count;
            input += 2L * count * Pairs;
            sums += count * PanelWidth;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddRow(ushort* input, uint* weights, int pairs, float* sums)
    {
        var upper = Vector512.Create(0xFFFF0000u);
        var (a0, a1, a2, a3) = (Vector512.Load(sums), Vector512.Load(sums + 16), Vector512.Load(sums + 32), Vector512.Load(sums + 48));
        for (var pair = 0; pair < pairs; pair++, weights += PanelWidth)
        {
            var even = Vector512.Create(BFloat16Element.ToSingle(input[2 * pair]));
            var odd = Vector512.Create(BFloat16Element.ToSingle(input[(2 * pair) + 1]));
            var (w0, w1, w2, w3) = (Vector512.Load(weights), Vector512.Load(weights + 16), Vector512.Load(weights + 32), Vector512.Load(weights + 48));
            a0 = Add(w0, even, odd, upper, a0);
            a1 = Add(w1, even, odd, upper, a1);
            a2 = Add(w2, even, odd, upper, a2);
            a3 = Add(w3, even, odd, upper, a3);
        }

        a0.Store(sums);
        a1.Store(sums + 16);
        a2.Store(sums + 32);
        a3.Store(sums + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(
        Vector512<uint> weights, Vector512<float> even, Vector512<float> odd, Vector512<uint> upper, Vector512<float> sum) =>
        Vector512.FusedMultiplyAdd((weights << 16).AsSingle(), even, Vector512.FusedMultiplyAdd((weights & upper).AsSingle(), odd, sum));

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
