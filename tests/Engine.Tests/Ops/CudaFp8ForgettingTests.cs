using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Engine;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// What a GPU keeps for matrices of 8-bit floats besides their tensors. These tests run alone, because they count tensors.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class CudaFp8ForgettingTests
{
    public CudaFp8ForgettingTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
    }

    // On Hopper this is a matrix's descriptor for products of many rows. Experts that move are forgotten one by one.
    [Fact]
    public void A_matrix_that_is_forgotten_leaves_nothing_behind()
    {
        using var scope = NewDisposeScope();
        using var ops = new CudaOps(0);
        var fp8 = ops.Features.Fp8!;
        var (bytes, scales, grid) = Fp8OpsTests.Matrix(512, 256, 128, 128, 0);
        var x = randn(200, 512).to(CardTypes.Half).cuda();
        using var kept = fp8.Pack(bytes, scales, grid, null, LinearRole.Other);
        fp8.Linear(x, kept).Dispose(); // rented buffers stay
        GC.Collect();
        GC.WaitForPendingFinalizers(); // finalizers of other tests
        var before = Tensor.TotalCount;
        using (var moved = fp8.Pack(bytes, scales, grid, null, LinearRole.Other))
        {
            fp8.Linear(x, moved).Dispose();
            fp8.Forget(moved);
        }

        Assert.Equal(before, Tensor.TotalCount);
    }
}
