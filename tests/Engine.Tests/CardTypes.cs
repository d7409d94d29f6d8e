using LocalLlm.Ops.Cuda;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests;

/// <summary>The types in which the first GPU computes, or those of the older GPU that it stands for (<c>LOCALLLM_CUDA_ARCH</c>).</summary>
internal static class CardTypes
{
    private static readonly bool s_hasBFloat16 = CudaInventory.Devices() is not [var (name, _, own), ..]
        || CudaArchitecture.Of(CudaArchitecture.Asked(null), own, name) >= CudaDevice.Ampere;

    /// <summary>The 16-bit type: bfloat16, or float16 on GPUs without bfloat16.</summary>
    public static ScalarType Half => s_hasBFloat16 ? ScalarType.BFloat16 : ScalarType.Float16;

    /// <summary>All 16-bit types.</summary>
    public static ScalarType[] Halves => s_hasBFloat16 ? [ScalarType.BFloat16, ScalarType.Float16] : [ScalarType.Float16];

    /// <summary>All types of activations.</summary>
    public static ScalarType[] All => [ScalarType.Float32, .. Halves];

    /// <summary>The type's name as options use it, with float16 in place of bfloat16 on GPUs without bfloat16.</summary>
    public static string NameOf(string dtype) => dtype == "bfloat16" && !s_hasBFloat16 ? "float16" : dtype;

    /// <summary>Skips tests of kernels that need Ampere or newer.</summary>
    public static void SkipBeforeAmpere()
    {
        if (!s_hasBFloat16)
            Assert.Skip("these kernels need compute capability 8.0");
    }
}
