using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>A product of 8-bit floats is used only where a trial of it was right.</summary>
public sealed class ScaledProductProbeTests
{
    public ScaledProductProbeTests() => TorchLibrary.EnsureLoaded();

    [Fact]
    public void A_right_product_has_no_fault() => Assert.Null(ScaledProductProbe.FaultOf(CPU, (x, weight, y) => Multiply(x, x.Scales, weight, y)));

    // cuBLAS uses the scales of another block for inputs that are not a multiple of four blocks.
    [Fact]
    public void Scales_of_another_block_are_found()
    {
        var fault = ScaledProductProbe.FaultOf(CPU, (x, weight, y) => Multiply(x, x.Scales.roll(1, 0), weight, y));
        Assert.Matches(@"^its result is off by \d+", fault);
    }

    [Fact]
    public void A_result_that_is_not_written_is_a_fault() => Assert.NotNull(ScaledProductProbe.FaultOf(CPU, (_, _, _) => { }));

    [Fact]
    public void A_refusal_is_the_fault() =>
        Assert.Equal("no such product", ScaledProductProbe.FaultOf(CPU, (_, _, _) => throw new InvalidOperationException("no such product.")));

    // libtorch multiplies by blocks on cards only.
    [Fact]
    public void Libtorch_on_a_cpu_refuses_and_is_not_taken_for_a_fault_of_ours() =>
        Assert.StartsWith("libtorch's product of 8-bit floats failed", ScaledProductProbe.FaultOf(CPU, ScaledProduct.Multiply), StringComparison.Ordinal);

    private static void Multiply(QuantisedRows x, Tensor scales, Fp8Weight weight, Tensor y)
    {
        var rows = TorchFp8Ops.Values(x.Values, scales.t().contiguous(), new([.. Enumerable.Range(0, x.Rows)], 128, 0), ScalarType.Float32);
        y.copy_(rows.matmul(TorchFp8Ops.Values(weight.Data, weight.Scales, weight.Grid, ScalarType.Float32).t()));
    }
}
