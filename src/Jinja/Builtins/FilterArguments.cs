using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Conversions of arguments that several filters share.</summary>
internal static class FilterArguments
{
    public static long Integer(object? value) => PyNumber.TryIndex(value, out var index)
        ? index
        : throw (value as Undefined)?.Fail()
            ?? TemplateException.Type($"'{Py.TypeName(value)}' object cannot be interpreted as an integer");

    /// <summary>
    /// A function that follows a dotted path such as <c>function.name</c> or <c>0.id</c>; for None it returns the value itself.
    /// </summary>
    public static Func<object?, object?> Getter(RenderContext c, object? attribute, object? fallback = null, bool ignoreCase = false)
    {
        if (attribute is string path)
            c.Explode(path);
        var parts = Parts(attribute);
        return item =>
        {
            foreach (var part in parts)
            {
                c.Step();
                item = Access.Item(c, item, part);
                if (fallback is not null && item is Undefined)
                    item = fallback;
            }

            return ignoreCase ? IgnoreCase(c, item) : item;
        };
    }

    /// <summary>Like <see cref="Getter"/> for several paths separated by commas; yields a list.</summary>
    public static Func<object?, object?> MultiGetter(RenderContext c, object? attribute, bool ignoreCase)
    {
        if (attribute is string given)
            c.Explode(given);
        object?[] paths = PyText.TryGet(attribute, out var text) ? text.Split(',') : [attribute];
        var getters = Array.ConvertAll(paths, path => Getter(c, path, null, ignoreCase));
        return item => Array.ConvertAll(getters, getter => getter(item)).ToList();
    }

    public static object? IgnoreCase(RenderContext c, object? value) =>
        PyText.TryGet(value, out var text) ? c.Text(Lower(c, text)) : value;

    private static string Lower(RenderContext c, string text)
    {
        if (!System.Text.Ascii.IsValid(text))
            c.Explode(text);
        return PyCasing.Lower(text);
    }

    private static object?[] Parts(object? attribute)
    {
        if (attribute is null)
            return [];
        return PyText.TryGet(attribute, out var text)
            ? Array.ConvertAll(text.Split('.'), part => part.Length > 0 && part.All(char.IsAsciiDigit) ? NumberText.ParseInteger(part) : part)
            : [attribute];
    }
}
