using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Facts about element types that TorchSharp does not offer.</summary>
internal static class ScalarTypeExtensions
{
    /// <summary>Bytes of one element of a floating-point type that the engine computes in.</summary>
    public static int ElementSize(this ScalarType type) => type switch
    {
        ScalarType.Float32 => sizeof(float),
        ScalarType.BFloat16 or ScalarType.Float16 => sizeof(short),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "The engine computes in float32, float16 or bfloat16."),
    };
}
