using System.Text;

namespace LocalLlm.Primitives;

/// <summary>A reader at a position in a regular expression.</summary>
internal sealed class RegexReader
{
    private const int MaxPatternLength = 32_768;

    private readonly int[] _text;

    public RegexReader(string pattern, RegexDialect dialect)
    {
        Dialect = dialect;
        if (dialect == RegexDialect.EcmaScript && pattern.Length > MaxPatternLength)
            throw new RegexSyntaxException($"the pattern has {pattern.Length} characters; at most {MaxPatternLength}");
        var text = new List<int>(pattern.Length);
        for (var i = 0; i < pattern.Length;)
        {
            text.Add(CodePoints.At(pattern, i, out var width));
            i += width;
        }

        // For a tokenizer a lone surrogate stands for itself. Generated text cannot contain one.
        _text = [.. dialect == RegexDialect.EcmaScript ? text.Select(c => Rune.IsValid(c) ? c : Rune.ReplacementChar.Value) : text];
    }

    public RegexDialect Dialect { get; }

    /// <summary>The index of the next code point.</summary>
    public int At { get; set; }

    public bool AtEnd => At >= _text.Length;

    /// <summary>Whether the next code point is the last one.</summary>
    public bool IsEndAfterOne => At + 1 >= _text.Length;

    public int Take() => _text[At++];

    public bool Is(char character, int ahead = 0) => At + ahead < _text.Length && _text[At + ahead] == character;

    public bool IsDigit(int ahead = 0) => At + ahead < _text.Length && _text[At + ahead] is >= '0' and <= '9';

    public bool TryTake(char character)
    {
        if (!Is(character))
            return false;
        At++;
        return true;
    }

    public bool TryTake(string characters)
    {
        for (var i = 0; i < characters.Length; i++)
        {
            if (!Is(characters[i], i))
                return false;
        }

        At += characters.Length;
        return true;
    }

    /// <summary>The next characters as text, or fewer at the end; the position does not change.</summary>
    public string Ahead(int count)
    {
        var text = new StringBuilder();
        foreach (var c in _text.AsSpan(At, Math.Min(count, _text.Length - At)))
            text.Append(Rune.IsValid(c) ? new Rune(c).ToString() : "\uFFFD");
        return text.ToString();
    }

    /// <summary>The number of characters before the next <paramref name="character"/>; -1 if there is none.</summary>
    public int DistanceTo(char character) => _text.AsSpan(At).IndexOf(character);

    public RegexSyntaxException Wrong(string what) => new($"at character {At}, {what}");
}
