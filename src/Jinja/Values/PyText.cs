using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace LocalLlm.Jinja.Values;

/// <summary>Strings as Python sees them: sequences of code points, not of UTF-16 units.</summary>
internal static class PyText
{
    private static readonly System.Buffers.SearchValues<char> LineEnds =
        System.Buffers.SearchValues.Create("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029");

    public static bool TryGet(object? value, [NotNullWhen(true)] out string? text)
    {
        text = value as string ?? (value as Markup)?.Text;
        return text is not null;
    }

    public static bool IsSpace(char c) => c is (>= '\t' and <= '\r') or (>= '\x1c' and <= ' ') || (c > '\x7f' && char.IsWhiteSpace(c));

    public static bool IsSpace(ReadOnlySpan<char> text)
    {
        foreach (var c in text)
        {
            if (!IsSpace(c))
                return false;
        }

        return true;
    }

    public static string TrimEnd(string text)
    {
        var end = text.Length;
        while (end > 0 && IsSpace(text[end - 1]))
            end--;
        return text[..end];
    }

    public static string TrimStart(string text)
    {
        var start = 0;
        while (start < text.Length && IsSpace(text[start]))
            start++;
        return text[start..];
    }

    public static string Trim(string text) => TrimStart(TrimEnd(text));

    public static bool HasSurrogates(ReadOnlySpan<char> text) => text.IndexOfAnyInRange('\uD800', '\uDFFF') >= 0;

    /// <summary>The number of code points.</summary>
    public static int Length(string text)
    {
        var length = text.Length;
        if (!HasSurrogates(text))
            return length;
        for (var i = 0; i + 1 < text.Length; i++)
        {
            if (char.IsSurrogatePair(text, i))
            {
                length--;
                i++;
            }
        }

        return length;
    }

    /// <summary>The code point at a UTF-16 index, as a string.</summary>
    public static string At(string text, int index) => text.Substring(index, char.IsSurrogatePair(text, index) ? 2 : 1);

    /// <summary>The code points, each as a string.</summary>
    public static string[] Characters(string text)
    {
        var result = new string[Length(text)];
        for (int i = 0, n = 0; n < result.Length; n++)
        {
            result[n] = At(text, i);
            i += result[n].Length;
        }

        return result;
    }

    /// <summary>The UTF-16 offset of a code point index.</summary>
    public static int Offset(string text, int codePoints)
    {
        if (!HasSurrogates(text))
            return Math.Min(codePoints, text.Length);
        var offset = 0;
        for (; codePoints > 0 && offset < text.Length; codePoints--)
            offset += char.IsSurrogatePair(text, offset) ? 2 : 1;
        return offset;
    }

    /// <summary>Code points <paramref name="start"/> up to, not including, <paramref name="stop"/>.</summary>
    public static string Slice(string text, int start, int stop)
    {
        if (stop <= start)
            return "";
        var from = Offset(text, start);
        return HasSurrogates(text) ? text.Substring(from, Offset(text[from..], stop - start)) : text[from..Math.Min(stop, text.Length)];
    }

    /// <summary>Compares two strings by code points.</summary>
    public static int Compare(string x, string y)
    {
        var same = x.AsSpan().CommonPrefixLength(y);
        if (same == x.Length || same == y.Length)
            return x.Length.CompareTo(y.Length);
        char a = x[same], b = y[same];
        // Surrogates encode code points that are greater than any other unit.
        if (char.IsSurrogate(a) != char.IsSurrogate(b))
            return char.IsSurrogate(a) ? 1 : -1;
        return a.CompareTo(b);
    }

    public static List<string> SplitLines(string text, bool keepEnds)
    {
        var lines = new List<string>();
        for (var start = 0; start < text.Length;)
        {
            var rest = text.AsSpan(start);
            var length = rest.IndexOfAny(LineEnds);
            if (length < 0)
            {
                lines.Add(rest.ToString());
                break;
            }

            var end = rest[length] == '\r' && length + 1 < rest.Length && rest[length + 1] == '\n' ? length + 2 : length + 1;
            lines.Add(rest[..(keepEnds ? end : length)].ToString());
            start += end;
        }

        return lines;
    }

    /// <summary>Python's <c>repr</c> of a string.</summary>
    public static string Repr(string text, bool ascii = false, char? guard = null)
    {
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        var result = new StringBuilder(text.Length + 2).Append(quote);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c == quote || c == '\\')
                result.Append('\\').Append(c);
            else if (c is '\n' or '\r' or '\t')
                result.Append('\\').Append(c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
            else if (c is >= ' ' and < '\x7f')
                result.Append(c);
            else if (c == guard)
                result.Append(c);
            else if (!ascii && IsPrintable(text, i))
                result.Append(At(text, i));
            else
                AppendEscape(result, char.IsSurrogatePair(text, i) ? char.ConvertToUtf32(text, i) : c);
            if (char.IsSurrogatePair(text, i))
                i++;
        }

        return result.Append(quote).ToString();
    }

    private static bool IsPrintable(string text, int index) => CharUnicodeInfo.GetUnicodeCategory(text, index)
        is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
            or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
        && (CharUnicodeInfo.GetUnicodeCategory(text, index) != UnicodeCategory.SpaceSeparator || text[index] == ' ');

    private static void AppendEscape(StringBuilder result, int code)
    {
        var format = code < 0x100 ? "\\x{0:x2}" : code < 0x10000 ? "\\u{0:x4}" : "\\U{0:x8}";
        result.AppendFormat(CultureInfo.InvariantCulture, format, code);
    }
}
