namespace LocalLlm.Parsing;

/// <summary>
/// Looks for any of a few marks in a stream of characters, holding back only what may be the beginning of one. No mark is the beginning of
/// another.
/// </summary>
internal sealed class MarkerMatcher(params string[] markers)
{
    private readonly char[] _held = new char[markers.Max(marker => marker.Length)];
    private int _length;

    /// <summary>What is held back.</summary>
    public ReadOnlySpan<char> Held => _held.AsSpan(0, _length);

    /// <summary>Takes a character.</summary>
    /// <param name="character">The character.</param>
    /// <param name="released">Called with each held character that is certain not to belong to a mark, in order.</param>
    /// <returns>The mark that is complete now, or null.</returns>
    public string? Push(char character, Action<char> released)
    {
        _held[_length++] = character;
        while (_length > 0)
        {
            foreach (var marker in markers)
            {
                if (!marker.AsSpan().StartsWith(Held))
                    continue;
                if (_length < marker.Length)
                    return null;
                _length = 0;
                return marker;
            }

            released(_held[0]);
            _held.AsSpan(1, --_length).CopyTo(_held);
        }

        return null;
    }

    /// <summary>Forgets what is held.</summary>
    public void Drop() => _length = 0;

    /// <summary>Releases what is held: no mark will be completed.</summary>
    public void Release(Action<char> released)
    {
        for (var i = 0; i < _length; i++)
            released(_held[i]);
        _length = 0;
    }
}
