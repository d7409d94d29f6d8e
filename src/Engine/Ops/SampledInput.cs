namespace LocalLlm.Ops;

/// <summary>Stands for an input id that the host does not know yet: the token that a device sampled in some row.</summary>
internal static class SampledInput
{
    /// <summary>
    /// The placeholder for the token of a row of the latest <see cref="ITokenSampler.BeginSample"/> or
    /// <see cref="ITokenSampler.Keep"/>.
    /// </summary>
    public static int OfRow(int row) => -1 - row;
}
