namespace LocalLlm.Sampling;

/// <summary>
/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a counter-based generator. The random number of an
/// output position depends only on seed, sequence and position, so batching, preemption and recomputation cannot change it.
/// </summary>
internal static class Philox
{
    private const uint Multiplier0 = 0xD2511F53;
    private const uint Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9;
    private const uint Weyl1 = 0xBB67AE85;
    private const int Rounds = 10;

    /// <summary>A uniform number in [0, 1) of 53 bits.</summary>
    /// <param name="seed">The request's seed; all 64 bits are the key.</param>
    /// <param name="sequence">Index of the sequence among the request's n.</param>
    /// <param name="position">Index of the output token, from 0.</param>
    public static double Uniform(ulong seed, int sequence, int position)
    {
        var (low, high, _, _) = Block((uint)position, (uint)sequence, 0, 0, (uint)seed, (uint)(seed >> 32));
        return ((((ulong)high << 32) | low) >> 11) * (1.0 / (1L << 53));
    }

    internal static (uint, uint, uint, uint) Block(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (var round = 0; round < Rounds; round++)
        {
            var product0 = (ulong)Multiplier0 * c0;
            var product1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(product1 >> 32) ^ c1 ^ k0, (uint)product1, (uint)(product0 >> 32) ^ c3 ^ k1, (uint)product0);
            k0 += Weyl0;
            k1 += Weyl1;
        }

        return (c0, c1, c2, c3);
    }
}
