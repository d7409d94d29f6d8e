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
}
