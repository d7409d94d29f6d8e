using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>A matrix that is copied for another rank gives the same products as its original, even when the original is gone.</summary>
public class CopiedWeightsTests
{
    private const int Outputs = 70;
    private const int Inputs = 45;

    [Theory]
    [InlineData(ScalarType.Float32, false)]
    [InlineData(ScalarType.BFloat16, false)]
    [InlineData(ScalarType.BFloat16, true)]
    public void A_copy_gives_the_same_bits(ScalarType type, bool hasDecodeCopy)
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var ops = new CpuOps();
        var weight = ops.PackLinear(randn(Outputs, Inputs).to(type), randn(Outputs).to(type), LinearRole.Other, hasDecodeCopy ? WeightPacking.DecodeCopies : WeightPacking.Compact);
        AssertSame(weight, weight.Copy(CPU), type, (x, matrix) => ops.Linear(x, matrix));
    }

    /// <summary>Without panels, the kernels that compute all experts at once could not take a moved expert.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_copy_has_panels_where_the_matrix_has_them(bool hasDecodeCopy)
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var ops = new CpuOps();
        using var weight = ops.PackLinear(randn(Outputs, Inputs).to(ScalarType.BFloat16), null, LinearRole.Other, hasDecodeCopy ? WeightPacking.DecodeCopies : WeightPacking.Compact);
        using var copy = weight.Copy(CPU);
        Assert.Equal(weight.Panels?.InputPairs, copy.Panels?.InputPairs);
        if (weight.Panels is not { } panels)
            return;
        Assert.NotEqual(panels.Address, copy.Panels!.Value.Address);
        Assert.Equal(Elements(panels), Elements(copy.Panels.Value));

        static unsafe byte[] Elements(PairPanels panels) =>
            new ReadOnlySpan<byte>((void*)panels.Address, (Outputs + 63) / 64 * panels.InputPairs * 64 * 2 * sizeof(ushort)).ToArray();
    }

    [Fact]
    public void A_copy_of_8_bit_floats_gives_the_same_bits()
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var ops = new CpuOps();
        var fp8 = ops.Features.Fp8!;
        var grid = new Fp8Grid([.. Enumerable.Range(0, Outputs).Select(row => row / 16)], 16, 0);
        var bytes = randint(0, 0x70, [Outputs, Inputs], ScalarType.Byte);
        var weight = fp8.Pack(bytes, rand((Outputs + 15) / 16, (Inputs + 15) / 16), grid, null, LinearRole.Other);
        AssertSame(weight, weight.Copy(CPU), ScalarType.Float32, (x, matrix) => fp8.Linear(x, matrix));
    }

    private static void AssertSame<T>(T weight, T copy, ScalarType type, Func<Tensor, T, Tensor> linear)
        where T : IDisposable
    {
        var inputs = ((int[])[1, 5, 40]).Select(rows => randn(rows, Inputs).to(type)).ToArray();
        var wanted = inputs.Select(x => Floats(linear(x, weight))).ToArray();
        weight.Dispose();
        Assert.Equal(wanted, inputs.Select(x => Floats(linear(x, copy))));
        copy.Dispose();
    }

    private static float[] Floats(Tensor tensor) => tensor.to(ScalarType.Float32).data<float>().ToArray();
}
