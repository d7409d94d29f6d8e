using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace LocalLlm.KvCache;

/// <summary>
/// A keyed multiply-and-fold hash (64 × 64 → 128 bits, halves xor-ed). Each process has a secret key, so that no client can craft prompts
/// that all fall into one bucket. The hash need not be collision-free (see <see cref="IBlockHasher"/>).
/// </summary>
internal sealed class BlockHasher : IBlockHasher
{
    private const ulong Multiplier = 0x9E37_79B9_7F4A_7C15; // 2^64 / golden ratio, odd
    private readonly ulong _key;

    /// <summary>Creates a hasher with a given key; equal keys give equal hashes.</summary>
    public BlockHasher(ulong key) => _key = key;

    /// <summary>Creates a hasher with a random key.</summary>
    public static BlockHasher CreateRandom()
    {
        Span<ulong> key = stackalloc ulong[1];
        RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(key));
        return new BlockHasher(key[0]);
    }

    /// <inheritdoc/>
    public ulong Hash(ulong parentHash, ReadOnlySpan<int> tokenIds, ReadOnlySpan<char> extra)
    {
        var state = Mix(_key ^ parentHash, (ulong)extra.Length);
        foreach (var c in extra)
            state = Mix(state, c);
        foreach (var token in tokenIds)
            state = Mix(state, (uint)token);
        return Mix(state, _key);
    }

    private static ulong Mix(ulong state, ulong value)
    {
        var high = Math.BigMul(state ^ value, Multiplier, out var low);
        return ulong.RotateLeft(high ^ low, 23) + Multiplier;
    }
}
