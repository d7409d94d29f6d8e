namespace LocalLlm.Ops;

/// <summary>An input id that the host does not know yet: what a device chose, in one of the rows that it sampled.</summary>
internal static class SampledInput
{
    /// <summary>
    /// The id that stands for the token of a row of the latest <see cref="ITokenSampler.BeginSample"/>, or of
    /// <see cref="ITokenSampler.Keep"/>.
    /// </summary>
    public static int OfRow(int row) => -1 - row;
}
