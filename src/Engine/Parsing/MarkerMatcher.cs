namespace LocalLlm.Parsing;

/// <summary>
/// Looks for a few marks in a stream of characters. It holds back only characters that may begin a mark. No mark is a prefix of another.
/// </summary>
internal sealed class MarkerMatcher(params string[] markers)
{
    private readonly char[] _held = new char[markers.Max(marker => marker.Length)];
    private int _length;

    /// <summary>The held-back characters.</summary>
    public ReadOnlySpan<char> Held => _held.AsSpan(0, _length);

    /// <summary>Reads a character.</summary>
    /// <param name="character">The character.</param>
    /// <param name="released">Called, in order, with each held character that is certain not to belong to a mark.</param>
    /// <returns>The mark that this character completes, or null.</returns>
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

    /// <summary>Discards the held characters.</summary>
    public void Drop() => _length = 0;

    /// <summary>Releases the held characters: no mark will be completed.</summary>
    public void Release(Action<char> released)
    {
        for (var i = 0; i < _length; i++)
            released(_held[i]);
        _length = 0;
    }
}
