using LocalLlm.Ops.Cuda;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests;

/// <summary>The types that the first card computes in, or the older one that it stands for (<c>LOCALLLM_CUDA_ARCH</c>).</summary>
internal static class CardTypes
{
    private static readonly bool s_hasBFloat16 = CudaInventory.Devices() is not [var (name, _, own), ..]
        || CudaArchitecture.Of(CudaArchitecture.Asked(null), own, name) >= CudaDevice.Ampere;

    /// <summary>Of 16 bits: bfloat16, or float16 where there is no other.</summary>
    public static ScalarType Half => s_hasBFloat16 ? ScalarType.BFloat16 : ScalarType.Float16;

    /// <summary>All of 16 bits.</summary>
    public static ScalarType[] Halves => s_hasBFloat16 ? [ScalarType.BFloat16, ScalarType.Float16] : [ScalarType.Float16];

    /// <summary>All types of activations.</summary>
    public static ScalarType[] All => [ScalarType.Float32, .. Halves];

    /// <summary>A type as options name it, or float16 in the place of bfloat16 where there is none.</summary>
    public static string NameOf(string dtype) => dtype == "bfloat16" && !s_hasBFloat16 ? "float16" : dtype;

    /// <summary>Skips tests of kernels that are for Ampere and newer.</summary>
    public static void SkipBeforeAmpere()
    {
        if (!s_hasBFloat16)
            Assert.Skip("these kernels need compute capability 8.0");
    }
}
