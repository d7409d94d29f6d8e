using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>The readable attributes and harmless methods of values other than strings.</summary>
internal static class ObjectAttributes
{
    private static readonly Signature GetSignature = new("get", ("<key>", Signature.Required), ("<default>", null));
    private static readonly Signature NoArguments = new("method");
    private static readonly Signature OneArgument = new("method", ("<value>", Signature.Required));

    private static readonly Signature IndexSignature =
        new("index", ("<value>", Signature.Required), ("<start>", 0L), ("<stop>", long.MaxValue));

    /// <summary>The attribute, or <see cref="Missing.Value"/> if the type has none of that name.</summary>
    public static object? Find(RenderContext c, object? value, string name) => value switch
    {
        PyDict dict => OfDict(dict, name),
        List<object?> list => name == "copy" ? Method(name, () => Py.ToList(c, list)) : OfSequence(list, name),
        PyTuple tuple => OfSequence(tuple.Items, name),
        LoopContext loop => OfLoop(loop, name),
        PyRange range when name is "count" or "index" => OfSequence(Py.ToList(c, range), name),
        _ when Omitted.IsAttribute(value, name) => throw Omitted.Refuse("attribute", $"{Py.TypeName(value)}.{name}"),
        _ => Missing.Value,
    };

    private static object OfDict(PyDict dict, string name) => name switch
    {
        "get" => new NativeFunction(name, (c, args) =>
        {
            var bound = GetSignature.Bind(args);
            c.Hash(bound[0]);
            return dict.TryGet(bound[0], out var found) ? found : bound[1];
        }),
        "items" => Method(name, () => new DictView(dict, DictViewKind.Items)),
        "keys" => Method(name, () => new DictView(dict, DictViewKind.Keys)),
        "values" => Method(name, () => new DictView(dict, DictViewKind.Values)),
        "copy" => new NativeFunction(name, (c, args) =>
        {
            NoArguments.Bind(args);
            c.AllocateItems(2L * dict.Count);
            return dict.Copy();
        }),
        _ => Missing.Value,
    };

    private static object OfSequence(IList<object?> items, string name) => name switch
    {
        "count" => new NativeFunction(name, (c, args) =>
        {
            var wanted = OneArgument.Bind(args)[0];
            return (long)items.Count(item => Py.AreEqual(c, item, wanted));
        }),
        "index" => new NativeFunction(name, (c, args) => Index(c, items, IndexSignature.Bind(args))),
        _ => Missing.Value,
    };

    private static long Index(RenderContext c, IList<object?> items, object?[] args)
    {
        if (!PyNumber.TryIndex(args[1], out var start) || !PyNumber.TryIndex(args[2], out var stop))
            throw TemplateException.Type("slice indices must be integers or have an __index__ method");
        start = start < 0 ? Math.Max(0, start + items.Count) : start;
        stop = Math.Min(stop < 0 ? stop + items.Count : stop, items.Count);
        for (var i = start; i < stop; i++)
        {
            if (Py.AreEqual(c, items[(int)i], args[0]))
                return i;
        }

        throw TemplateException.Value("the value is not in the sequence");
    }

    private static object? OfLoop(LoopContext loop, string name) => name switch
    {
        "index" => loop.Index,
        "index0" => loop.Index0,
        "first" => loop.Index0 == 0,
        "last" => loop.IsLast,
        "length" => loop.Length,
        "revindex" => loop.Length - loop.Index0,
        "revindex0" => loop.Length - loop.Index,
        "previtem" => loop.Previous,
        "nextitem" => loop.Following,
        "depth" => loop.Depth0 + 1,
        "depth0" => loop.Depth0,
        "cycle" => new NativeFunction(name, (_, args) => loop.Cycle(args)),
        "changed" => new NativeFunction(name, loop.HasChanged),
        _ => Missing.Value,
    };

    private static NativeFunction Method(string name, Func<object?> body) => new(name, (_, args) =>
    {
        NoArguments.Bind(args);
        return body();
    });
}
