using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary><c>map</c>, <c>select</c>, <c>reject</c>, <c>selectattr</c> and <c>rejectattr</c>: lazy, as in Jinja2.</summary>
internal static class SelectFilters
{
    public static void AddTo(Dictionary<string, Filter> table)
    {
        table["map"] = (c, value, args) => PyIterator.Generator(Map(c, value, args));
        table["select"] = (c, value, args) => PyIterator.Generator(Select(c, value, args, byAttribute: false, keep: true));
        table["reject"] = (c, value, args) => PyIterator.Generator(Select(c, value, args, byAttribute: false, keep: false));
        table["selectattr"] = (c, value, args) => PyIterator.Generator(Select(c, value, args, byAttribute: true, keep: true));
        table["rejectattr"] = (c, value, args) => PyIterator.Generator(Select(c, value, args, byAttribute: true, keep: false));
    }

    private static IEnumerable<object?> Map(RenderContext c, object? value, Arguments args)
    {
        if (!Py.Truthy(value))
            yield break;
        var function = MapFunction(c, args);
        var iterator = Py.Iterate(c, value);
        while (iterator.Next(out var item))
        {
            c.Step();
            yield return function(item);
        }
    }

    private static Func<object?, object?> MapFunction(RenderContext c, Arguments args)
    {
        if (args.Positional.Length == 0 && args.Named is not null && args.Named.Contains("attribute"))
        {
            var unexpected = args.Named.Items.FirstOrDefault(item => item.Key is not ("attribute" or "default"));
            return unexpected.Key is null
                ? FilterArguments.Getter(c, args.Named.Get("attribute"), args.Named.Get("default"))
                : throw TemplateException.Runtime($"Unexpected keyword argument '{unexpected.Key}'");
        }

        if (args.Positional.Length == 0)
            throw TemplateException.Runtime("map requires a filter argument");
        var filter = Named(args.Positional[0], "filter", FilterTable.Find);
        var rest = new Arguments(args.Positional[1..], args.Named);
        return item => filter(c, item, rest);
    }

    private static IEnumerable<object?> Select(RenderContext c, object? value, Arguments args, bool byAttribute, bool keep)
    {
        if (!Py.Truthy(value))
            yield break;
        var skip = byAttribute ? 1 : 0;
        if (args.Positional.Length < skip)
            throw TemplateException.Runtime("Missing parameter for attribute name");
        var getter = byAttribute ? FilterArguments.Getter(c, args.Positional[0]) : null;
        Test? test = null;
        var rest = Arguments.None;
        if (args.Positional.Length > skip)
        {
            test = Named(args.Positional[skip], "test", TestTable.Find);
            rest = new Arguments(args.Positional[(skip + 1)..], args.Named);
        }

        var iterator = Py.Iterate(c, value);
        while (iterator.Next(out var item))
        {
            c.Step();
            var tested = getter is null ? item : getter(item);
            if (Py.Truthy(test is null ? tested : test(c, tested, rest)) == keep)
                yield return item;
        }
    }

    private static T Named<T>(object? name, string kind, Func<string, T?> find)
        where T : class
    {
        if (name is Undefined undefined)
            throw TemplateException.Runtime($"No {kind} named Undefined. ({undefined.Fail().Message}; did you forget to quote the callable name?)");
        return PyText.TryGet(name, out var text) && find(text) is { } found
            ? found
            : throw TemplateException.Runtime($"No {kind} named {Py.ShortRepr(name)}.");
    }
}
