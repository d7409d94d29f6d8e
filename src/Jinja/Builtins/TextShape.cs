using System.Text;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Padding, trimming and joining strings.</summary>
internal static class TextShape
{
    public static string Strip(RenderContext c, string text, object? characters, bool left, bool right)
    {
        c.Work(text.Length);
        int start = 0, end = text.Length;
        if (characters is null)
        {
            while (left && start < end && PyText.IsSpace(text[start]))
                start++;
            while (right && end > start && PyText.IsSpace(text[end - 1]))
                end--;
        }
        else
        {
            var set = TextSearch.Text(characters);
            c.Explode(set);
            var all = new HashSet<string>(PyText.Characters(set));
            for (; left && start < end && PyText.At(text, start) is var first && all.Contains(first); start += first.Length)
                c.Step();
            for (; right && end > start && Before(text, end) is var last && all.Contains(last); end -= last.Length)
                c.Step();
        }

        return start == 0 && end == text.Length ? text : c.Text(text[start..end]);
    }

    private static string Before(string text, int end) =>
        end > 1 && char.IsSurrogatePair(text, end - 2) ? text.Substring(end - 2, 2) : text.Substring(end - 1, 1);

    public static string Pad(RenderContext c, string text, long left, long right, string fill)
    {
        left = Math.Max(0, left);
        right = Math.Max(0, right);
        // Widths saturate, so each is checked before their sum.
        c.RequireLength(left);
        c.RequireLength(right);
        c.Allocate(text.Length + ((left + right) * fill.Length));
        return Repeat(fill, (int)left) + text + Repeat(fill, (int)right);
    }

    private static string Repeat(string fill, int count) =>
        fill.Length == 1 ? new string(fill[0], count) : string.Concat(Enumerable.Repeat(fill, count));

    public static string Center(RenderContext c, string text, long width, string fill)
    {
        var margin = width - PyText.Length(text);
        if (margin <= 0)
            return text;
        var left = (margin / 2) + (margin & width & 1);
        return Pad(c, text, left, margin - left, fill);
    }

    public static string ZeroFill(RenderContext c, string text, long width)
    {
        var missing = width - PyText.Length(text);
        if (missing <= 0)
            return text;
        var sign = text.Length > 0 && text[0] is '+' or '-' ? 1 : 0;
        return text[..sign] + Pad(c, text[sign..], missing, 0, "0");
    }

    public static string ExpandTabs(RenderContext c, string text, long size)
    {
        c.Allocate(text.Length);
        var result = new StringBuilder();
        long column = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\t')
            {
                var spaces = size > 0 ? size - (column % size) : 0;
                c.RequireLength(result.Length + spaces);
                c.Allocate(spaces);
                result.Append(' ', (int)spaces);
                column += spaces;
                continue;
            }

            result.Append(text[i]);
            column = text[i] is '\n' or '\r' ? 0 : char.IsLowSurrogate(text[i]) ? column : column + 1;
        }

        return result.ToString();
    }

    /// <summary><c>separator.join(items)</c>: every item must be a string.</summary>
    public static string Join(RenderContext c, string separator, object? items)
    {
        if (!Py.IsIterable(items))
            throw TemplateException.Type("can only join an iterable");
        var result = new StringBuilder();
        var iterator = Py.Iterate(c, items);
        for (var index = 0; iterator.Next(out var item); index++)
        {
            if (!PyText.TryGet(item, out var text))
                throw TemplateException.Type($"sequence item {index}: expected str instance, {Py.TypeName(item)} found");
            Append(c, result, index == 0 ? "" : separator, text);
        }

        return c.Text(result.ToString());
    }

    /// <summary>The <c>join</c> filter: items are converted to strings.</summary>
    public static string JoinAny(RenderContext c, string separator, IEnumerable<object?> items)
    {
        var result = new StringBuilder();
        var first = true;
        foreach (var item in items)
        {
            Append(c, result, first ? "" : separator, Py.Str(c, item));
            first = false;
        }

        return c.Text(result.ToString());
    }

    private static void Append(RenderContext c, StringBuilder result, string separator, string text)
    {
        c.Work(separator.Length + text.Length);
        c.RequireLength((long)result.Length + separator.Length + text.Length);
        result.Append(separator).Append(text);
    }

    public static bool IsTitle(RenderContext c, string text)
    {
        c.Work(text.Length * 4L);
        bool found = false, inWord = false;
        for (var i = 0; i < text.Length; i += char.IsSurrogatePair(text, i) ? 2 : 1)
        {
            var category = System.Globalization.CharUnicodeInfo.GetUnicodeCategory(text, i);
            var isUpper = category is System.Globalization.UnicodeCategory.UppercaseLetter
                or System.Globalization.UnicodeCategory.TitlecaseLetter;
            var isLower = category == System.Globalization.UnicodeCategory.LowercaseLetter;
            if ((isUpper && inWord) || (isLower && !inWord))
                return false;
            inWord = isUpper || isLower;
            found |= inWord;
        }

        return found;
    }
}
