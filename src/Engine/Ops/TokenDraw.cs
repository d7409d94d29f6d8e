using System.Runtime.InteropServices;

namespace LocalLlm.Ops;

/// <summary>How one row's token is chosen where the device does it: <c>Draw</c> in draw.cu.</summary>
/// <param name="Uniform">In [0, 1): the place in the cumulative distribution.</param>
/// <param name="InverseTemperature">Factor on the logits; 0: the largest logit, the lowest id among equals, and nothing else
/// counts.</param>
/// <param name="TopP">In (0, 1]; 1: no limit.</param>
/// <param name="MinPOffset">Added to the largest logit it gives the least that takes part: temperature · ln(min_p); -Infinity: no
/// limit.</param>
/// <param name="TopK">0: no limit.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct TokenDraw(
    double Uniform, double InverseTemperature, double TopP = 1, double MinPOffset = double.NegativeInfinity, int TopK = 0)
{
    /// <summary>Whether the likeliest tokens alone take part.</summary>
    public bool Cuts => InverseTemperature > 0 && (TopK > 0 || TopP < 1 || MinPOffset > double.NegativeInfinity);
}
