using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>The largest lane of a vector.</summary>
internal static class VectorMax
{
    /// <summary>The largest lane; NaN if any lane is NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Across(Vector512<float> value)
    {
        var quarter = Vector256.Max(value.GetLower(), value.GetUpper());
        var eighth = Vector128.Max(quarter.GetLower(), quarter.GetUpper());
        return MathF.Max(MathF.Max(eighth[0], eighth[1]), MathF.Max(eighth[2], eighth[3]));
    }
}
