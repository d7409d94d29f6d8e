using System.Net;
using System.Text;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Filters for HTML and URLs.</summary>
internal static class MarkupFilters
{
    private static readonly System.Buffers.SearchValues<char> ForbiddenInNames = System.Buffers.SearchValues.Create(" \t\n\r\f\v/>=");

    public static void AddTo(Dictionary<string, Filter> table)
    {
        foreach (var name in (string[])["e", "escape"])
            table.Add(name, [], (c, args) => Markup.Escape(c, args[0]));
        table.Add("forceescape", [], (c, args) => Markup.Escape(c, Py.Str(c, args[0])));
        table.Add("safe", [], (c, args) => args[0] is Markup ? args[0] : new Markup(Py.Str(c, args[0])));
        table.Add("striptags", [], (c, args) => StripTags(c, Py.Str(c, args[0])));
        table.Add("xmlattr", [("autospace", true)], XmlAttributes);
        table.Add("urlencode", [], (c, args) => UrlEncode(c, args[0]));
    }

    private static string StripTags(RenderContext c, string text)
    {
        c.Work(text.Length * 8L);
        var plain = Remove(Remove(text, "<!--", "-->"), "<", ">");
        return c.Text(WebUtility.HtmlDecode(string.Join(' ', TextSearch.Split(c, plain, null, -1, fromRight: false))));
    }

    private static string Remove(string text, string open, string close)
    {
        var result = new StringBuilder();
        var position = 0;
        while (position < text.Length)
        {
            var start = text.IndexOf(open, position, StringComparison.Ordinal);
            var end = start < 0 ? -1 : text.IndexOf(close, start, StringComparison.Ordinal);
            if (end < 0)
                break;
            result.Append(text, position, start - position);
            position = end + close.Length;
        }

        return result.Append(text, position, text.Length - position).ToString();
    }

    private static string XmlAttributes(RenderContext c, object?[] args)
    {
        if (args[0] is not PyDict dict)
            throw (args[0] as Undefined)?.Fail() ?? TemplateException.Type($"'{Py.TypeName(args[0])}' object has no attribute 'items'");
        var result = new StringBuilder();
        foreach (var (key, value) in dict.Items)
        {
            if (value is null or Undefined)
                continue;
            var name = TextSearch.Text(key);
            if (name.AsSpan().ContainsAny(ForbiddenInNames))
                throw TemplateException.Value($"Invalid character in attribute name: {PyText.Repr(name)}");
            if (result.Length > 0 || Py.Truthy(args[1]))
                result.Append(' ');
            result.Append(Markup.Escape(c, key).Text).Append("=\"").Append(Markup.Escape(c, value).Text).Append('"');
            c.RequireLength(result.Length);
        }

        return c.Text(result.ToString());
    }

    private static string UrlEncode(RenderContext c, object? value)
    {
        if (PyText.TryGet(value, out var text) || !Py.IsIterable(value))
            return Quote(c, text ?? Py.Str(c, value), isQuery: false);
        var parts = new List<object?>();
        var iterator = Py.Iterate(c, value is PyDict dict ? new DictView(dict, DictViewKind.Items) : value);
        while (iterator.Next(out var pair))
        {
            c.Step();
            var items = Py.ToList(c, pair);
            if (items.Count != 2)
                throw TemplateException.Value("urlencode needs pairs of a name and a value");
            parts.Add(Quote(c, Py.Str(c, items[0]), isQuery: true) + "=" + Quote(c, Py.Str(c, items[1]), isQuery: true));
        }

        return TextShape.JoinAny(c, "&", parts);
    }

    private static string Quote(RenderContext c, string text, bool isQuery)
    {
        c.Allocate(text.Length * 3L);
        // Percent encoding takes a token's text apart, so its mark has done its work.
        if (c.Guard is { } guard)
            text = text.Replace(guard.ToString(), "", StringComparison.Ordinal);
        var result = new StringBuilder(text.Length);
        byte[] bytes;
        try
        {
            bytes = new UTF8Encoding(false, throwOnInvalidBytes: true).GetBytes(text);
        }
        catch (EncoderFallbackException)
        {
            throw TemplateException.Value("a lone surrogate cannot be encoded as UTF-8");
        }

        foreach (var b in bytes)
        {
            if (char.IsAsciiLetterOrDigit((char)b) || b is (byte)'_' or (byte)'.' or (byte)'-' or (byte)'~' || (b == '/' && !isQuery))
                result.Append((char)b);
            else if (b == ' ' && isQuery)
                result.Append('+');
            else
                result.Append('%').Append(b.ToString("X2", System.Globalization.CultureInfo.InvariantCulture));
        }

        return c.Text(result.ToString());
    }
}
