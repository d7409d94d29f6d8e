using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Finding, splitting and replacing in strings.</summary>
internal static class TextSearch
{
    /// <summary>The UTF-16 part of <paramref name="text"/> between two code point bounds; -1 if it lies beyond the end.</summary>
    public static (int From, int To) Region(string text, object? start, object? stop)
    {
        var length = PyText.Length(text);
        var from = Bound(start, length, 0);
        var to = Math.Min(Bound(stop, length, length), length);
        return from > length || from > to ? (-1, -1) : (PyText.Offset(text, (int)from), PyText.Offset(text, (int)to));
    }

    private static long Bound(object? value, int length, long byDefault)
    {
        if (value is null)
            return byDefault;
        if (!PyNumber.TryIndex(value, out var index))
            throw TemplateException.Type("slice indices must be integers or None or have an __index__ method");
        return index < 0 ? Math.Max(0, index + length) : index;
    }

    /// <summary>The code point index of the first or last occurrence within bounds, or -1.</summary>
    public static long Find(RenderContext c, string text, object?[] args, bool last)
    {
        var part = Text(args[0]);
        c.Scan(text);
        var (from, to) = Region(text, args[1], args[2]);
        if (from < 0)
            return -1;
        var span = text.AsSpan(from, to - from);
        var at = last ? (part.Length == 0 ? span.Length : span.LastIndexOf(part)) : span.IndexOf(part);
        return at < 0 ? -1 : PyText.Length(text[..(from + at)]);
    }

    public static long Count(RenderContext c, string text, object?[] args)
    {
        var part = Text(args[0]);
        c.Scan(text);
        var (from, to) = Region(text, args[1], args[2]);
        if (from < 0)
            return 0;
        var region = text[from..to];
        return part.Length == 0 ? PyText.Length(region) + 1 : Occurrences(region, part, int.MaxValue);
    }

    public static bool HasAffix(RenderContext c, string text, object?[] args, bool atStart)
    {
        c.Scan(text);
        var (from, to) = Region(text, args[1], args[2]);
        var candidates = args[0] is PyTuple tuple ? tuple.Items : [args[0]];
        foreach (var candidate in candidates)
        {
            if (!PyText.TryGet(candidate, out var affix))
            {
                throw TemplateException.Type($"{(atStart ? "startswith" : "endswith")} first arg must be str or a tuple of str, not "
                    + Py.TypeName(candidate));
            }

            c.Work(affix.Length);
            if (from >= 0 && (atStart ? text.AsSpan(from, to - from).StartsWith(affix) : text.AsSpan(from, to - from).EndsWith(affix)))
                return true;
        }

        return false;
    }

    public static string Replace(RenderContext c, string text, string old, string with, long count)
    {
        c.Work(text.Length);
        var limit = count < 0 ? int.MaxValue : (int)Math.Min(count, int.MaxValue);
        var found = old.Length == 0 ? Math.Min(limit, PyText.Length(text) + 1) : Occurrences(text, old, limit);
        if (found == 0)
            return text;
        c.Allocate(text.Length + ((long)found * (with.Length - old.Length)));
        c.Work(found * 8L);
        if (old.Length == 0)
        {
            c.Explode(text);
            var characters = PyText.Characters(text);
            return string.Concat(characters.Select((character, i) => i < found ? with + character : character))
                + (found > characters.Length ? with : "");
        }

        if (found < int.MaxValue && limit == int.MaxValue)
            return text.Replace(old, with, StringComparison.Ordinal);
        var result = new System.Text.StringBuilder();
        var position = 0;
        for (; found > 0; found--)
        {
            var next = text.IndexOf(old, position, StringComparison.Ordinal);
            result.Append(text, position, next - position).Append(with);
            position = next + old.Length;
        }

        return result.Append(text, position, text.Length - position).ToString();
    }

    /// <summary>Splits at a separator, or at runs of whitespace if it is null, at most <paramref name="limit"/> times.</summary>
    public static List<string> Split(RenderContext c, string text, object? separator, long limit, bool fromRight)
    {
        c.Work(text.Length);
        limit = limit < 0 ? long.MaxValue : limit;
        if (separator is null)
            return fromRight ? WhitespaceFromRight(c, text, limit) : Whitespace(c, text, limit);
        var part = Text(separator);
        if (part.Length == 0)
            throw TemplateException.Value("empty separator");
        var pieces = new List<string>();
        var rest = text.AsSpan();
        for (; limit > 0; limit--)
        {
            var at = fromRight ? rest.LastIndexOf(part) : rest.IndexOf(part);
            if (at < 0)
                break;
            Add(c, pieces, fromRight ? rest[(at + part.Length)..] : rest[..at]);
            rest = fromRight ? rest[..at] : rest[(at + part.Length)..];
        }

        Add(c, pieces, rest);
        if (fromRight)
            pieces.Reverse();
        return pieces;
    }

    private static List<string> Whitespace(RenderContext c, string text, long limit)
    {
        var pieces = new List<string>();
        var i = 0;
        while (true)
        {
            while (i < text.Length && PyText.IsSpace(text[i]))
                i++;
            if (i == text.Length)
                return pieces;
            var start = i;
            if (pieces.Count == limit)
            {
                Add(c, pieces, text.AsSpan(start));
                return pieces;
            }

            while (i < text.Length && !PyText.IsSpace(text[i]))
                i++;
            Add(c, pieces, text.AsSpan(start, i - start));
        }
    }

    private static List<string> WhitespaceFromRight(RenderContext c, string text, long limit)
    {
        var pieces = new List<string>();
        var i = text.Length;
        while (true)
        {
            while (i > 0 && PyText.IsSpace(text[i - 1]))
                i--;
            if (i == 0)
                break;
            var end = i;
            if (pieces.Count == limit)
            {
                Add(c, pieces, text.AsSpan(0, end));
                break;
            }

            while (i > 0 && !PyText.IsSpace(text[i - 1]))
                i--;
            Add(c, pieces, text.AsSpan(i, end - i));
        }

        pieces.Reverse();
        return pieces;
    }

    private static void Add(RenderContext c, List<string> pieces, ReadOnlySpan<char> piece)
    {
        c.Step();
        c.AllocateItems(1);
        c.Allocate(piece.Length);
        pieces.Add(piece.ToString());
    }

    private static int Occurrences(string text, string part, int limit)
    {
        var count = 0;
        for (var i = 0; count < limit && (i = text.IndexOf(part, i, StringComparison.Ordinal)) >= 0; i += part.Length)
            count++;
        return count;
    }

    public static string Text(object? value) => PyText.TryGet(value, out var text)
        ? text
        : throw TemplateException.Type($"must be str, not {Py.TypeName(value)}");
}
