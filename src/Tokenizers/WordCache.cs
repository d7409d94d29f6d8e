namespace LocalLlm.Tokenizers;

/// <summary>
/// Remembers the ids of recent words in a fixed number of slots; a new word overwrites the one in its slot. An entry is immutable
/// and replaced by one reference write, so any number of threads may use the cache at once.
/// </summary>
internal sealed class WordCache
{
    /// <summary>Longer words (in UTF-16 units) are not kept, which limits the whole cache to a few megabytes.</summary>
    public const int MaxWordLength = 64;

    private const int Slots = 1 << 15;
    private readonly Entry?[] _entries = new Entry?[Slots];

    public bool TryGet(ReadOnlySpan<char> word, out int hash, out ReadOnlySpan<int> ids)
    {
        hash = string.GetHashCode(word) & (Slots - 1);
        var entry = Volatile.Read(ref _entries[hash]);
        if (entry is null || !word.SequenceEqual(entry.Word))
        {
            ids = default;
            return false;
        }

        ids = entry.Ids;
        return true;
    }

    public void Set(int hash, ReadOnlySpan<char> word, ReadOnlySpan<int> ids) =>
        Volatile.Write(ref _entries[hash], new Entry(word.ToString(), ids.ToArray()));

    private sealed record Entry(string Word, int[] Ids);
}
