using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>The functions that every chat template may call.</summary>
internal static class Globals
{
    private static readonly Signature RaiseSignature = new("raise_exception", ("message", Signature.Required));
    private static readonly Signature TimeSignature = new("strftime_now", ("format", Signature.Required));

    private static readonly Dictionary<string, object> All = new(StringComparer.Ordinal)
    {
        ["range"] = new NativeFunction("range", Range, "function"),
        ["dict"] = new PyType("dict", Dict),
        ["namespace"] = new PyType("jinja2.utils.Namespace", (c, args) => new Namespace(Dict(c, args))),
        ["raise_exception"] = new NativeFunction("raise_exception", (c, args) =>
            throw new TemplateException(TemplateErrorKind.Raised, Py.Str(c, RaiseSignature.Bind(args)[0])), "function"),
        ["strftime_now"] = new NativeFunction("strftime_now", (c, args) => PyText.TryGet(TimeSignature.Bind(args)[0], out var format)
            ? Now(c, format)
            : throw TemplateException.Type("strftime() argument 1 must be str"), "function"),
    };

    static Globals()
    {
        foreach (var name in Omitted.Functions)
            All[name] = new NativeFunction(name, (_, _) => throw Omitted.Refuse("function", name), "function");
    }

    private static string Now(RenderContext c, string format)
    {
        c.Allocate(format.Length * 16L);
        c.Explode(format);
        return c.Text(Strftime.Format(format, c.Time.GetLocalNow()));
    }

    public static bool TryGet(string name, out object? value) => All.TryGetValue(name, out value);

    private static PyRange Range(RenderContext c, Arguments args)
    {
        if (args.NamedCount > 0 || args.Positional.Length is 0 or > 3)
            throw TemplateException.Type("range expected 1 to 3 positional arguments");
        var bounds = Array.ConvertAll(args.Positional, value => PyNumber.TryIndex(value, out var index)
            ? index
            : throw (value as Undefined)?.Fail() ?? TemplateException.Type(
                $"'{Py.TypeName(value)}' object cannot be interpreted as an integer"));
        c.Step();
        return bounds.Length == 1
            ? PyRange.Create(0, bounds[0], 1)
            : PyRange.Create(bounds[0], bounds[1], bounds.Length == 3 ? bounds[2] : 1);
    }

    private static PyDict Dict(RenderContext c, Arguments args)
    {
        if (args.Positional.Length > 1)
            throw TemplateException.Type($"dict expected at most 1 argument, got {args.Positional.Length}");
        var result = new PyDict();
        switch (args.Positional.FirstOrDefault(Missing.Value))
        {
            case Missing:
                break;
            case PyDict dict:
                c.AllocateItems(2L * dict.Count);
                result = dict.Copy();
                break;
            case Undefined undefined:
                throw undefined.Fail();
            case var pairs:
                AddPairs(c, result, pairs);
                break;
        }

        foreach (var (key, value) in args.Named?.Items ?? [])
            result[key] = value;
        return result;
    }

    private static void AddPairs(RenderContext c, PyDict result, object? pairs)
    {
        var iterator = Py.Iterate(c, pairs);
        while (iterator.Next(out var pair))
        {
            c.Step();
            if (!Py.IsIterable(pair))
                throw TemplateException.Type("cannot convert dictionary update sequence element to a sequence");
            var items = Py.ToList(c, pair);
            if (items.Count != 2)
                throw TemplateException.Value($"dictionary update sequence element has length {items.Count}; 2 is required");
            c.Hash(items[0]);
            result[items[0]] = items[1];
        }
    }
}
