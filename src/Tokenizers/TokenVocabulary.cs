using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Token text ↔ id. All texts are UTF-8 in one array, so a quarter million tokens load without a quarter million strings. Filled
/// once while loading, then read by any thread.
/// </summary>
internal sealed class TokenVocabulary
{
    /// <summary>Ids index arrays, so a file may not claim larger ones. No real vocabulary comes near.</summary>
    public const int MaxId = (1 << 24) - 1;

    private readonly ulong _seed = BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(8));
    private byte[] _text;
    private int[] _starts; // entry → start in _text; one more than there are entries
    private int[] _ids; // entry → id
    private int[] _slots = new int[1024]; // open addressing: entry + 1
    private int[] _entryOfId = []; // id → entry + 1

    public TokenVocabulary(int expectedBytes)
    {
        _text = new byte[Math.Clamp(expectedBytes / 4, 256, 1 << 22)];
        _starts = new int[1025];
        _ids = new int[1024];
    }

    public int Count { get; private set; }

    /// <summary>The largest id + 1, or 0.</summary>
    public int Size => _entryOfId.Length;

    /// <summary>Length in bytes of the longest token.</summary>
    public int LongestToken { get; private set; }

    /// <summary>Adds one token; false if its text is already in the vocabulary.</summary>
    public bool TryAdd(ReadOnlySpan<byte> token, int id)
    {
        if ((Count + 1) * 2 > _slots.Length)
            Rehash(_slots.Length * 2);
        var slot = Slot(token);
        if (_slots[slot] != 0)
            return false;
        if (Count == _ids.Length)
        {
            Array.Resize(ref _ids, Count * 2);
            Array.Resize(ref _starts, Count * 2 + 1);
        }

        var start = _starts[Count];
        if (start + token.Length > _text.Length)
            Array.Resize(ref _text, Math.Max(_text.Length * 2, start + token.Length));
        token.CopyTo(_text.AsSpan(start));
        _ids[Count] = id;
        _starts[++Count] = start + token.Length;
        _slots[slot] = Count;
        LongestToken = Math.Max(LongestToken, token.Length);
        return true;
    }

    /// <summary>Builds the lookup by id. The largest id must be near the number of tokens. Returns what is wrong, or null.</summary>
    public string? Freeze()
    {
        var largest = -1;
        foreach (var id in _ids.AsSpan(0, Count))
            largest = Math.Max(largest, id);
        var allowed = Math.Max(1 << 20, 4L * Count);
        if (largest >= allowed)
            return $"has the id {largest} but only {Count} tokens; ids below {allowed} are expected";
        _entryOfId = new int[largest + 1];
        for (var entry = 0; entry < Count; entry++)
        {
            ref var holder = ref _entryOfId[_ids[entry]];
            if (holder != 0)
                return $"gives the id {_ids[entry]} both to \"{Show(holder - 1)}\" and to \"{Show(entry)}\"";
            holder = entry + 1;
        }

        return null;
    }

    /// <summary>The id of a token's text, or -1.</summary>
    public int Find(ReadOnlySpan<byte> token)
    {
        var entry = _slots[Slot(token)];
        return entry == 0 ? -1 : _ids[entry - 1];
    }

    /// <summary>Whether some token has this id.</summary>
    public bool Has(int id) => (uint)id < (uint)_entryOfId.Length && _entryOfId[id] != 0;

    /// <summary>The UTF-8 text of an id; empty if no token has it.</summary>
    public ReadOnlySpan<byte> Utf8(int id) => Has(id) ? Text(_entryOfId[id] - 1) : default;

    private ReadOnlySpan<byte> Text(int entry) => _text.AsSpan(_starts[entry].._starts[entry + 1]);

    private string Show(int entry) => JsonField.Shorten(System.Text.Encoding.UTF8.GetString(Text(entry)));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Slot(ReadOnlySpan<byte> token)
    {
        var mask = _slots.Length - 1;
        var slot = (int)Hash(token) & mask;
        while (_slots[slot] != 0 && !Text(_slots[slot] - 1).SequenceEqual(token))
            slot = (slot + 1) & mask;
        return slot;
    }

    private void Rehash(int size)
    {
        _slots = new int[size];
        for (var entry = 0; entry < Count; entry++)
            _slots[Slot(Text(entry))] = entry + 1;
    }

    // Seeded, so that no file can contain tokens that all collide.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private ulong Hash(ReadOnlySpan<byte> token)
    {
        var hash = _seed ^ (ulong)token.Length;
        while (token.Length >= 8)
        {
            hash = Mix(hash ^ BinaryPrimitives.ReadUInt64LittleEndian(token));
            token = token[8..];
        }

        var rest = 0ul;
        for (var i = 0; i < token.Length; i++)
            rest |= (ulong)token[i] << 8 * i;
        return Mix(hash ^ rest);
    }

    private ulong Mix(ulong value)
    {
        var high = Math.BigMul(value ^ 0x9E3779B97F4A7C15, _seed | 1, out var low);
        return high ^ low ^ value >> 29;
    }
}
