using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// bfloat16 x · Wᵀ + bias for one row, at the memory's full bandwidth. Weights are in panels of 64 outputs and pairs of inputs,
/// [ceil(out / 64), ceil(in / 2), 64, 2]: the kernel reads one stream from end to end, and a 32-bit lane holds two adjacent inputs.
/// A shift turns the lower half into a float32, a mask the upper half.
/// </summary>
internal unsafe struct MatvecKernel : IRangeKernel
{
    /// <summary>Outputs per panel: four vectors.</summary>
    public const int PanelWidth = 64;

    // Prefetch distance: far enough for a line to arrive from memory before it is needed.
    private const int PrefetchAhead = 1024;

    /// <summary>[in, padded to even] float32.</summary>
    public float* Input;

    /// <summary>The panels, zero past the last output and input.</summary>
    public uint* Panels;

    /// <summary>[out] or null.</summary>
    public ushort* Bias;

    /// <summary>[out].</summary>
    public ushort* Output;

    public int InputPairs;
    public int OutFeatures;

    /// <summary>Items are panels.</summary>
    public readonly void Run(long begin, long end)
    {
        var sums = stackalloc float[PanelWidth];
        for (var panel = begin; panel < end; panel++)
        {
            Multiply(Panels + (panel * InputPairs * PanelWidth), sums);
            var first = (int)panel * PanelWidth;
            var count = Math.Min(PanelWidth, OutFeatures - first);
            for (var i = 0; i < count; i++)
                Output[first + i] = BFloat16Element.FromSingle(Bias == null ? sums[i] : sums[i] + BFloat16Element.ToSingle(Bias[first + i]));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Multiply(uint* weights, float* sums)
    {
        var upper = Vector512.Create(0xFFFF0000u);
        var a0 = Vector512<float>.Zero;
        var a1 = a0;
        var a2 = a0;
        var a3 = a0;
        var b0 = a0;
        var b1 = a0;
        var b2 = a0;
        var b3 = a0;
        for (var pair = 0; pair < InputPairs; pair++, weights += PanelWidth)
        {
            if (Sse.IsSupported)
            {
                Sse.Prefetch0(weights + PrefetchAhead);
                Sse.Prefetch0(weights + PrefetchAhead + 16);
                Sse.Prefetch0(weights + PrefetchAhead + 32);
                Sse.Prefetch0(weights + PrefetchAhead + 48);
            }

            var even = Vector512.Create(Input[2 * pair]);
            var odd = Vector512.Create(Input[(2 * pair) + 1]);
            var w0 = Vector512.Load(weights);
            var w1 = Vector512.Load(weights + 16);
            var w2 = Vector512.Load(weights + 32);
            var w3 = Vector512.Load(weights + 48);
            a0 = Vector512.FusedMultiplyAdd((w0 << 16).AsSingle(), even, a0);
            b0 = Vector512.FusedMultiplyAdd((w0 & upper).AsSingle(), odd, b0);
            a1 = Vector512.FusedMultiplyAdd((w1 << 16).AsSingle(), even, a1);
            b1 = Vector512.FusedMultiplyAdd((w1 & upper).AsSingle(), odd, b1);
            a2 = Vector512.FusedMultiplyAdd((w2 << 16).AsSingle(), even, a2);
            b2 = Vector512.FusedMultiplyAdd((w2 & upper).AsSingle(), odd, b2);
            a3 = Vector512.FusedMultiplyAdd((w3 << 16).AsSingle(), even, a3);
            b3 = Vector512.FusedMultiplyAdd((w3 & upper).AsSingle(), odd, b3);
        }

        (a0 + b0).Store(sums);
        (a1 + b1).Store(sums + 16);
        (a2 + b2).Store(sums + 32);
        (a3 + b3).Store(sums + 48);
    }
}

/// <summary>Brings a weight matrix into the layout of <see cref="MatvecKernel"/>.</summary>
internal unsafe struct PackMatvecKernel : IRangeKernel
{
    /// <summary>[out, in].</summary>
    public ushort* Weight;

    /// <summary>[ceil(out / 64), ceil(in / 2), 64, 2].</summary>
    public ushort* Panels;

    public int OutFeatures;
    public int InFeatures;

    /// <summary>Items are panels.</summary>
    public readonly void Run(long begin, long end)
    {
        var pairs = (InFeatures + 1) / 2;
        for (var panel = begin; panel < end; panel++)
        {
            for (var lane = 0; lane < MatvecKernel.PanelWidth; lane++)
            {
                var row = (panel * MatvecKernel.PanelWidth) + lane;
                var target = Panels + (((panel * pairs * MatvecKernel.PanelWidth) + lane) * 2);
                for (var k = 0; k < 2 * pairs; k++)
                    target[(k / 2 * MatvecKernel.PanelWidth * 2) + (k % 2)] = row < OutFeatures && k < InFeatures ? Weight[(row * InFeatures) + k] : (ushort)0;
            }
        }
    }
}
