using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>All filters by name.</summary>
internal static class FilterTable
{
    private static readonly Dictionary<string, Filter> All = Build();

    public static Filter? Find(string name) => All.GetValueOrDefault(name);

    private static Dictionary<string, Filter> Build()
    {
        var table = new Dictionary<string, Filter>(StringComparer.Ordinal);
        TextFilters.AddTo(table);
        NumberFilters.AddTo(table);
        SequenceFilters.AddTo(table);
        SelectFilters.AddTo(table);
        foreach (var name in Omitted.Filters)
            table[name] = (_, _, _) => throw Omitted.Refuse("filter", name);
        return table;
    }

    /// <summary>Registers a filter whose arguments bind to parameters; the first parameter is the value.</summary>
    public static void Add(
        this Dictionary<string, Filter> table, string name, (string Name, object? Default)[] parameters,
        Func<Runtime.RenderContext, object?[], object?> body)
    {
        var signature = new Signature(name, [("value", Signature.Required), .. parameters]);
        table[name] = (c, value, args) => body(c, signature.Bind(value, args));
    }
}
