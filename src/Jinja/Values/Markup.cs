namespace LocalLlm.Jinja.Values;

/// <summary>Text that was escaped or marked safe; joining plain text to it escapes the plain text.</summary>
internal sealed class Markup(string text)
{
    public string Text { get; } = text;

    public static Markup Escape(Runtime.RenderContext c, object? value)
    {
        if (value is Markup markup)
            return markup;
        var text = Py.Str(c, value);
        c.Allocate(text.Length);
        var escaped = text.Replace("&", "&amp;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
            .Replace("<", "&lt;", StringComparison.Ordinal).Replace("'", "&#39;", StringComparison.Ordinal)
            .Replace("\"", "&#34;", StringComparison.Ordinal);
        return new Markup(c.Text(escaped));
    }

    /// <summary>Wraps the strings in the result of a method called on markup.</summary>
    public static object? Wrap(object? value) => value switch
    {
        string s => new Markup(s),
        List<object?> list => list.ConvertAll(Wrap),
        PyTuple tuple => new PyTuple(Array.ConvertAll(tuple.Items, Wrap)),
        _ => value,
    };
}
