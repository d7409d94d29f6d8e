using System.Text;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Filters that turn text into text.</summary>
internal static class TextFilters
{
    public static void AddTo(Dictionary<string, Filter> table)
    {
        AddMethod(table, "upper");
        AddMethod(table, "lower");
        AddMethod(table, "capitalize");
        AddMethod(table, "trim", "strip", ("chars", null));
        table.Add("string", [], (c, args) => args[0] is Markup ? args[0] : Py.Str(c, args[0]));
        table.Add("title", [], (c, args) => Title(c, Py.Str(c, args[0])));
        table.Add("replace", [("old", Signature.Required), ("new", Signature.Required), ("count", null)], (c, args) =>
            TextSearch.Replace(c, Py.Str(c, args[0]), Py.Str(c, args[1]), Py.Str(c, args[2]),
                args[3] is null ? -1 : FilterArguments.Integer(args[3])));
        table.Add("indent", [("width", 4L), ("first", false), ("blank", false)], Indent);
        table.Add("tojson", [("ensure_ascii", false), ("indent", null), ("separators", null), ("sort_keys", false)], (c, args) =>
            new JsonWriter(c, Py.Truthy(args[1]), args[2], args[3], Py.Truthy(args[4])).Write(args[0]));
        table["format"] = Format;
        foreach (var name in (string[])["e", "escape"])
            table.Add(name, [], (c, args) => Markup.Escape(c, args[0]));
        table.Add("safe", [], (c, args) => args[0] is Markup ? args[0] : new Markup(Py.Str(c, args[0])));
    }

    // The filter calls the string method of the same name on the value as text; markup stays markup.
    private static void AddMethod(
        Dictionary<string, Filter> table, string name, string? method = null, params (string Name, object? Default)[] parameters) =>
        table.Add(name, parameters, (c, args) =>
        {
            StringMethods.TryBind(Py.Str(c, args[0]), args[0] is Markup, method ?? name, out var bound);
            return Access.Call(c, bound, new Arguments(args[1..]));
        });

    private static object? Format(RenderContext c, object? value, Arguments args)
    {
        if (args.Positional.Length > 0 && args.NamedCount > 0)
            throw TemplateException.Runtime("can't handle positional and keyword arguments at the same time");
        object values = args.NamedCount > 0 ? args.Named! : new PyTuple(args.Positional);
        return Operators.Apply(c, "%", value is Markup ? value : Py.Str(c, value), values);
    }

    // A word begins after whitespace, a hyphen or an opening bracket.
    private static string Title(RenderContext c, string text)
    {
        c.Allocate(text.Length);
        c.Explode(text);
        var result = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length;)
        {
            var start = i;
            while (i < text.Length && IsTitleBreak(text[i]))
                i++;
            result.Append(text, start, i - start);
            start = i;
            while (i < text.Length && !IsTitleBreak(text[i]))
                i++;
            if (i == start)
                continue;
            var first = PyText.At(text, start);
            result.Append(PyCasing.Upper(first)).Append(PyCasing.Lower(text[(start + first.Length)..i]));
        }

        return c.Text(result.ToString());
    }

    private static bool IsTitleBreak(char ch) => ch is '-' or '(' or '{' or '[' or '<' || PyText.IsSpace(ch);

    private static object? Indent(RenderContext c, object?[] args)
    {
        if (!PyText.TryGet(args[1], out var indention))
        {
            var width = FilterArguments.Integer(args[1]);
            c.RequireLength(width);
            indention = new string(' ', (int)Math.Max(0, width));
        }

        if (!PyText.TryGet(args[0], out var text))
        {
            throw (args[0] as Undefined)?.Fail()
                ?? TemplateException.Type($"unsupported operand type(s) for +=: '{Py.TypeName(args[0])}' and 'str'");
        }

        if (args[0] is Markup && args[1] is not Markup)
            indention = Py.Str(c, new Markup(indention));
        c.Allocate(text.Length);
        var lines = PyText.SplitLines(text + "\n", keepEnds: false);
        c.Allocate(text.Length + ((long)indention.Length * lines.Count));
        var blank = Py.Truthy(args[3]);
        var result = new StringBuilder(Py.Truthy(args[2]) ? indention : "");
        for (var i = 0; i < lines.Count; i++)
        {
            if (i > 0)
                result.Append('\n').Append(blank || lines[i].Length > 0 ? indention : "");
            result.Append(lines[i]);
        }

        var indented = c.Text(result.ToString());
        return args[0] is Markup ? new Markup(indented) : indented;
    }
}
