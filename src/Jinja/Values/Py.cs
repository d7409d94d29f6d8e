using System.Numerics;
using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Values;

/// <summary>
/// What Python's built-in functions do to a value. Values are <c>null</c> (None), <see cref="bool"/>, <see cref="long"/>,
/// <see cref="BigInteger"/>, <see cref="double"/>, <see cref="string"/>, <see cref="List{T}"/> of values and the classes of
/// this folder; nothing else ever reaches a template.
/// </summary>
internal static class Py
{
    public static string TypeName(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        long or BigInteger => "int",
        double => "float",
        string => "str",
        Markup => "Markup",
        List<object?> => "list",
        PyTuple => "tuple",
        PyDict => "dict",
        PyRange => "range",
        DictView view => view.TypeName,
        PyIterator iterator => iterator.TypeName,
        ICallable callable => callable.TypeName,
        _ => value.GetType().Name,
    };

    public static bool Truthy(object? value) => value switch
    {
        null or Undefined => false,
        bool b => b,
        long l => l != 0,
        double d => d != 0,
        BigInteger => true,
        string s => s.Length > 0,
        Markup m => m.Text.Length > 0,
        List<object?> list => list.Count > 0,
        PyTuple tuple => tuple.Items.Length > 0,
        PyDict dict => dict.Count > 0,
        PyRange range => range.Count > 0,
        DictView view => view.Count > 0,
        LoopContext loop => loop.Length > 0,
        _ => true,
    };

    public static string Str(RenderContext c, object? value) => value switch
    {
        string s => s,
        Markup m => m.Text,
        Undefined => "",
        _ => PyRepr.Write(c, value),
    };

    /// <summary>The representation of a scalar in messages.</summary>
    public static string ShortRepr(object? value) => value switch
    {
        null => "None",
        bool b => b ? "True" : "False",
        long l => l.ToString(System.Globalization.CultureInfo.InvariantCulture),
        double d => NumberText.Write(d),
        string s => PyText.Repr(s.Length > 200 ? s[..200] : s),
        _ => TypeName(value),
    };

    public static long Length(RenderContext c, object? value)
    {
        switch (value)
        {
            case Undefined: return 0;
            case List<object?> list: return list.Count;
            case PyTuple tuple: return tuple.Items.Length;
            case PyDict dict: return dict.Count;
            case PyRange range: return range.Count;
            case DictView view: return view.Count;
            case LoopContext loop: return loop.Length;
        }

        if (!PyText.TryGet(value, out var text))
            throw TemplateException.Type($"object of type '{TypeName(value)}' has no len()");
        c.Scan(text);
        return PyText.Length(text);
    }

    public static bool IsIterable(object? value) => value is string or Markup or List<object?> or PyTuple or PyDict or PyRange
        or DictView or PyIterator or Undefined or LoopContext;

    public static PyIterator Iterate(RenderContext c, object? value)
    {
        switch (value)
        {
            case PyIterator iterator: return iterator;
            case List<object?> list: return new PyIterator("list_iterator", list);
            case PyTuple tuple: return new PyIterator("tuple_iterator", tuple.Items);
            case PyDict dict: return new PyIterator("dict_keyiterator", dict.Items.Select(item => item.Key));
            case PyRange range: return new PyIterator("range_iterator", range.Enumerate());
            case DictView view: return new PyIterator(view.TypeName + "iterator", view.Enumerate());
            case Undefined: return new PyIterator("generator", []);
            case LoopContext loop: return new PyIterator("LoopContext", loop.Enumerate(c));
        }

        if (!PyText.TryGet(value, out var text))
            throw TemplateException.Type($"'{TypeName(value)}' object is not iterable");
        return new PyIterator("str_iterator", Characters(c, text));
    }

    private static IEnumerable<object?> Characters(RenderContext c, string text)
    {
        for (var i = 0; i < text.Length;)
        {
            var character = PyText.At(text, i);
            i += character.Length;
            c.Step();
            yield return character;
        }
    }

    /// <summary>A new list of the items of <paramref name="value"/>.</summary>
    public static List<object?> ToList(RenderContext c, object? value)
    {
        if (value is List<object?> list)
        {
            c.AllocateItems(list.Count);
            return [.. list];
        }

        var result = new List<object?>();
        var iterator = Iterate(c, value);
        while (iterator.Next(out var item))
        {
            c.Step();
            c.AllocateItems(1);
            result.Add(item);
        }

        return result;
    }

    public static bool AreEqual(RenderContext c, object? x, object? y)
    {
        c.Step();
        if (PyText.TryGet(x, out var left))
        {
            if (!PyText.TryGet(y, out var right) || left.Length != right.Length)
                return false;
            c.Work(left.Length);
            return left == right;
        }

        if (PyNumber.IsNumber(x))
            return PyNumber.IsNumber(y) && PyNumber.Compare(x!, y!) == 0;
        switch (x)
        {
            case List<object?> a when y is List<object?> b:
                return SameItems(c, a, b);
            case PyTuple a when y is PyTuple b:
                return SameItems(c, a.Items, b.Items);
            case PyRange a when y is PyRange b:
                return a.Count == b.Count && (a.Count == 0 || (a.Start == b.Start && (a.Count == 1 || a.Step == b.Step)));
            case PyDict a when y is PyDict b:
                return a.Count == b.Count && a.Items.All(item => b.TryGet(item.Key, out var other) && SameItem(c, item.Value, other));
            case DictView { Kind: not DictViewKind.Values } a when y is DictView { Kind: not DictViewKind.Values } b:
                return a.Count == b.Count && a.Enumerate().All(item => Contains(c, b, item));
            case Undefined:
                return y is Undefined;
            default:
                return ReferenceEquals(x, y);
        }
    }

    private static bool SameItem(RenderContext c, object? x, object? y) =>
        (ReferenceEquals(x, y) && x is not Undefined) || AreEqual(c, x, y);

    private static bool SameItems(RenderContext c, IList<object?> a, IList<object?> b)
    {
        if (a.Count != b.Count)
            return false;
        for (var i = 0; i < a.Count; i++)
        {
            if (!SameItem(c, a[i], b[i]))
                return false;
        }

        return true;
    }

    /// <summary>Compares two values that Python can order; null for NaN. Error messages use <paramref name="op"/>.</summary>
    public static int? Compare(RenderContext c, object? x, object? y, string op)
    {
        c.Step();
        if (PyNumber.IsNumber(x) && PyNumber.IsNumber(y))
            return PyNumber.Compare(x!, y!);
        if (PyText.TryGet(x, out var left) && PyText.TryGet(y, out var right))
        {
            c.Work(Math.Min(left.Length, right.Length));
            return PyText.Compare(left, right);
        }

        if ((x as Undefined ?? y as Undefined) is { } undefined)
            throw undefined.Fail();
        var (a, b) = (x, y) switch
        {
            (List<object?> first, List<object?> second) => ((IList<object?>)first, (IList<object?>)second),
            (PyTuple first, PyTuple second) => (first.Items, second.Items),
            _ => throw TemplateException.Type($"'{op}' not supported between instances of '{TypeName(x)}' and '{TypeName(y)}'"),
        };
        for (var i = 0; i < a.Count && i < b.Count; i++)
        {
            if (!SameItem(c, a[i], b[i]))
                return Compare(c, a[i], b[i], op);
        }

        return a.Count.CompareTo(b.Count);
    }

    public static bool Less(RenderContext c, object? x, object? y) => Compare(c, x, y, "<") < 0;

    /// <summary><c>item in container</c></summary>
    public static bool Contains(RenderContext c, object? container, object? item)
    {
        switch (container)
        {
            case PyDict dict:
                c.Hash(item);
                return dict.Contains(item);
            case DictView { Kind: DictViewKind.Keys } keys:
                return keys.Enumerate().Any(key => SameItem(c, key, item));
            case PyRange range when PyNumber.IsNumber(item):
                return range.Enumerate().Any(i => AreEqual(c, i, item));
        }

        if (PyText.TryGet(container, out var text))
        {
            if (!PyText.TryGet(item, out var part))
                throw TemplateException.Type($"'in <string>' requires string as left operand, not {TypeName(item)}");
            c.Work(text.Length);
            return text.Contains(part, StringComparison.Ordinal);
        }

        if (!IsIterable(container))
            throw TemplateException.Type($"argument of type '{TypeName(container)}' is not iterable");
        var iterator = Iterate(c, container);
        while (iterator.Next(out var candidate))
        {
            if (SameItem(c, candidate, item))
                return true;
        }

        return false;
    }
}
