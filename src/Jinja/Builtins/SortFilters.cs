using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>The filters <c>sort</c>, <c>dictsort</c> and <c>groupby</c>.</summary>
internal static class SortFilters
{
    public static void AddTo(Dictionary<string, Filter> table)
    {
        table.Add("sort", [("reverse", false), ("case_sensitive", false), ("attribute", null)], (c, args) =>
            Sorting.Sort(c, Py.ToList(c, args[0]), FilterArguments.MultiGetter(c, args[3], !Py.Truthy(args[2])), IsReverse(args[1])));
        table.Add("dictsort", [("case_sensitive", false), ("by", "key"), ("reverse", false)], DictSort);
        table.Add("groupby", [("attribute", Signature.Required), ("default", null), ("case_sensitive", false)], GroupBy);
    }

    private static bool IsReverse(object? value) => PyNumber.IsInteger(value)
        ? Py.Truthy(value)
        : throw (value as Undefined)?.Fail()
            ?? TemplateException.Type($"'{Py.TypeName(value)}' object cannot be interpreted as an integer");

    private static object? DictSort(RenderContext c, object?[] args)
    {
        if (!PyText.TryGet(args[2], out var by) || by is not ("key" or "value"))
            throw TemplateException.Runtime("You can only sort by either \"key\" or \"value\"");
        if (args[0] is not PyDict dict)
            throw (args[0] as Undefined)?.Fail() ?? TemplateException.Type($"'{Py.TypeName(args[0])}' object has no attribute 'items'");
        var position = by == "key" ? 0 : 1;
        var caseSensitive = Py.Truthy(args[1]);
        return Sorting.Sort(c, Py.ToList(c, new DictView(dict, DictViewKind.Items)), pair =>
        {
            var key = ((PyTuple)pair!).Items[position];
            return caseSensitive ? key : FilterArguments.IgnoreCase(c, key);
        }, IsReverse(args[3]));
    }

    private static object? GroupBy(RenderContext c, object?[] args)
    {
        var caseSensitive = Py.Truthy(args[3]);
        var key = FilterArguments.Getter(c, args[1], args[2], ignoreCase: !caseSensitive);
        var shown = FilterArguments.Getter(c, args[1], args[2]);
        var groups = new List<object?>();
        List<object?>? current = null;
        object? currentKey = null;
        foreach (var item in Sorting.Sort(c, Py.ToList(c, args[0]), key, reverse: false))
        {
            var itemKey = key(item);
            if (current is null || !Py.AreEqual(c, currentKey, itemKey))
            {
                currentKey = itemKey;
                groups.Add(new GroupTuple(caseSensitive ? itemKey : shown(item), current = []));
            }

            c.AllocateItems(1);
            current.Add(item);
        }

        return groups;
    }
}
