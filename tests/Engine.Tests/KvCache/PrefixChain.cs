namespace LocalLlm.Tests.KvCache;

/// <summary>
/// A number for everything that a model's keys and values at one position depend on: the salt and every token up to that position. A slot
/// of a fake KV cache that holds the right number was computed for exactly this prefix.
/// </summary>
internal static class PrefixChain
{
    /// <summary>Content of a slot that was never computed.</summary>
    public const ulong Poison = 0xDEAD_DEAD_DEAD_DEAD;

    public static ulong Start(string? salt)
    {
        var state = salt is null ? 1UL : 2UL;
        foreach (var c in salt ?? "")
            state = Next(state, c);
        return state;
    }

    public static ulong Next(ulong state, int tokenId)
    {
        var x = (state + (uint)tokenId + 1) * 0xBF58_476D_1CE4_E5B9;
        x ^= x >> 31;
        x *= 0x94D0_49BB_1331_11EB;
        return x ^ (x >> 29);
    }

    public static ulong Of(string? salt, ReadOnlySpan<int> tokenIds)
    {
        var state = Start(salt);
        foreach (var token in tokenIds)
            state = Next(state, token);
        return state;
    }
}
