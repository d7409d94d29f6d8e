using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Filters over sequences and mappings.</summary>
internal static class SequenceFilters
{
    public static void AddTo(Dictionary<string, Filter> table)
    {
        foreach (var name in (string[])["count", "length"])
            table.Add(name, [], (c, args) => Py.Length(c, args[0]));
        foreach (var name in (string[])["default", "d"])
        {
            table.Add(name, [("default_value", ""), ("boolean", false)], (_, args) =>
                args[0] is Undefined || (Py.Truthy(args[2]) && !Py.Truthy(args[0])) ? args[1] : args[0]);
        }

        table.Add("list", [], (c, args) => Py.ToList(c, args[0]));
        table.Add("first", [], (c, args) =>
            Py.Iterate(c, args[0]).Next(out var item) ? item : Undefined.Hint("No first item, sequence was empty."));
        table.Add("last", [], (c, args) =>
            Reversed(c, args[0]).Next(out var item) ? item : Undefined.Hint("No last item, sequence was empty."));
        table.Add("join", [("d", ""), ("attribute", null)], Join);
        table.Add("items", [], (_, args) => Items(args[0]));
        table.Add("reverse", [], Reverse);
        table.Add("sum", [("attribute", null), ("start", 0L)], Sum);
        table.Add("min", [("case_sensitive", false), ("attribute", null)], (c, args) => Extreme(c, args, isMin: true));
        table.Add("max", [("case_sensitive", false), ("attribute", null)], (c, args) => Extreme(c, args, isMin: false));
        table.Add("attr", [("name", Signature.Required)], (c, args) => Attribute(c, args[0], args[1]));
        table.Add("unique", [("case_sensitive", false), ("attribute", null)], (c, args) =>
            PyIterator.Generator(Unique(c, args[0], Py.Truthy(args[1]), args[2])));
        SortFilters.AddTo(table);
    }

    private static string Join(RenderContext c, object?[] args)
    {
        var getter = args[2] is null ? null : FilterArguments.Getter(c, args[2]);
        return TextShape.JoinAny(c, Py.Str(c, args[1]), Values(c, args[0], getter));
    }

    private static IEnumerable<object?> Values(RenderContext c, object? source, Func<object?, object?>? getter)
    {
        var iterator = Py.Iterate(c, source);
        while (iterator.Next(out var item))
        {
            c.Step();
            yield return getter is null ? item : getter(item);
        }
    }

    private static PyIterator Items(object? value) => PyIterator.Generator(Pairs(value));

    private static IEnumerable<object?> Pairs(object? value)
    {
        if (value is Undefined)
            yield break;
        if (value is not PyDict dict)
            throw TemplateException.Type("Can only get item pairs from a mapping.");
        foreach (var (key, item) in dict.Items)
            yield return new PyTuple(key, item);
    }

    private static PyIterator Reversed(RenderContext c, object? value) => value switch
    {
        List<object?> list => new PyIterator("list_reverseiterator", Backwards(list)),
        PyTuple tuple => new PyIterator("reversed", Backwards(tuple.Items)),
        PyRange range => new PyIterator("range_iterator", range.Enumerate(reversed: true)),
        PyDict or DictView => new PyIterator("dict_reversekeyiterator", Backwards(Py.ToList(c, value))),
        string or Markup => new PyIterator("reversed", Backwards(Py.ToList(c, value))),
        Undefined => new PyIterator("reversed", []),
        _ => throw TemplateException.Type($"'{Py.TypeName(value)}' object is not reversible"),
    };

    private static IEnumerable<object?> Backwards(IList<object?> items)
    {
        for (var i = items.Count - 1; i >= 0; i--)
            yield return items[i];
    }

    private static object? Reverse(RenderContext c, object?[] args)
    {
        if (args[0] is string or Markup)
            return Slicing.Apply(c, args[0], null, null, -1L);
        if (args[0] is not (PyIterator or LoopContext))
        {
            return Py.IsIterable(args[0])
                ? Reversed(c, args[0])
                : throw TemplateException.Runtime("argument must be iterable");
        }

        var list = Py.ToList(c, args[0]);
        list.Reverse();
        return list;
    }

    private static object? Sum(RenderContext c, object?[] args)
    {
        if (args[2] is string or Markup)
            throw TemplateException.Type("sum() can't sum strings [use ''.join(seq) instead]");
        var total = args[2];
        foreach (var item in Values(c, args[0], args[1] is null ? null : FilterArguments.Getter(c, args[1])))
            total = Operators.Apply(c, "+", total, item);
        return total;
    }

    private static object? Extreme(RenderContext c, object?[] args, bool isMin)
    {
        var iterator = Py.Iterate(c, args[0]);
        if (!iterator.Next(out var best))
            return Undefined.Hint("No aggregated item, sequence was empty.");
        var getter = FilterArguments.Getter(c, args[2], ignoreCase: !Py.Truthy(args[1]));
        var bestKey = getter(best);
        while (iterator.Next(out var item))
        {
            var key = getter(item);
            if (isMin ? Py.Less(c, key, bestKey) : Py.Compare(c, key, bestKey, ">") > 0)
                (best, bestKey) = (item, key);
        }

        return best;
    }

    private static object? Attribute(RenderContext c, object? value, object? name)
    {
        if (!PyText.TryGet(name, out var text))
            throw TemplateException.Type($"attribute name must be string, not '{Py.TypeName(name)}'");
        return Access.TryAttribute(c, value, text, out var found) ? found : Undefined.Attribute(value, text);
    }

    private static IEnumerable<object?> Unique(RenderContext c, object? source, bool caseSensitive, object? attribute)
    {
        var getter = FilterArguments.Getter(c, attribute, ignoreCase: !caseSensitive);
        var seen = new PyDict();
        foreach (var item in Values(c, source, null))
        {
            var key = getter(item);
            c.Hash(key);
            if (seen.Contains(key))
                continue;
            c.AllocateItems(2);
            seen[key] = true;
            yield return item;
        }
    }
}
