using System.Runtime.InteropServices;

namespace LocalLlm.Ops;

/// <summary>How a device samples one row's token: <c>Draw</c> in draw.cu.</summary>
/// <param name="Uniform">In [0, 1): the place in the cumulative distribution.</param>
/// <param name="InverseTemperature">Factor on the logits; 0: greedy, the largest logit, and the lowest id among equals. The other fields
/// are then ignored.</param>
/// <param name="TopP">In (0, 1]; 1: no limit.</param>
/// <param name="MinPOffset">temperature · ln(min_p): the largest logit plus this is the smallest logit that takes part. -Infinity: no
/// limit.</param>
/// <param name="TopK">0: no limit.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct TokenDraw(
    double Uniform, double InverseTemperature, double TopP = 1, double MinPOffset = double.NegativeInfinity, int TopK = 0)
{
    /// <summary>Whether only the likeliest tokens take part.</summary>
    public bool Cuts => InverseTemperature > 0 && (TopK > 0 || TopP < 1 || MinPOffset > double.NegativeInfinity);
}
