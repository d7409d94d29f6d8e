using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>The filters <c>sort</c> and <c>dictsort</c>.</summary>
internal static class SortFilters
{
    public static void AddTo(Dictionary<string, Filter> table)
    {
        table.Add("sort", [("reverse", false), ("case_sensitive", false), ("attribute", null)], (c, args) =>
            Sorting.Sort(c, Py.ToList(c, args[0]), FilterArguments.MultiGetter(c, args[3], !Py.Truthy(args[2])), IsReverse(args[1])));
        table.Add("dictsort", [("case_sensitive", false), ("by", "key"), ("reverse", false)], DictSort);
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
}
