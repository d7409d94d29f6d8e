using System.Globalization;
using LocalLlm.Jinja.Nodes;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>All tests by name.</summary>
internal static class TestTable
{
    private static readonly Dictionary<string, Test> All = Build();

    public static Test? Find(string name) => All.GetValueOrDefault(name);

    private static Dictionary<string, Test> Build()
    {
        var table = new Dictionary<string, Test>(StringComparer.Ordinal);
        AddTypes(table);
        AddNumbers(table);
        AddComparisons(table);
        Add(table, "lower", (c, value) =>
            StringMethods.HasCase(c, Py.Str(c, value), UnicodeCategory.LowercaseLetter, UnicodeCategory.UppercaseLetter));
        Add(table, "upper", (c, value) =>
            StringMethods.HasCase(c, Py.Str(c, value), UnicodeCategory.UppercaseLetter, UnicodeCategory.LowercaseLetter));
        AddBinary(table, "sameas", "other", (_, value, other) => IsSame(value, other));
        AddBinary(table, "in", "seq", (c, value, seq) => Py.Contains(c, seq, value));
        foreach (var name in Omitted.Tests)
            table[name] = (_, _, _) => throw Omitted.Refuse("test", name);
        return table;
    }

    private static void AddTypes(Dictionary<string, Test> table)
    {
        Add(table, "defined", (_, value) => value is not Undefined);
        Add(table, "undefined", (_, value) => value is Undefined);
        Add(table, "none", (_, value) => value is null);
        Add(table, "boolean", (_, value) => value is bool);
        Add(table, "true", (_, value) => value is true);
        Add(table, "false", (_, value) => value is false);
        Add(table, "integer", (_, value) => value is not bool && PyNumber.IsInteger(value));
        Add(table, "float", (_, value) => value is double);
        Add(table, "number", (_, value) => PyNumber.IsNumber(value));
        Add(table, "string", (_, value) => value is string or Markup);
        Add(table, "mapping", (_, value) => value is PyDict);
        Add(table, "iterable", (_, value) => Py.IsIterable(value));
        Add(table, "sequence", (_, value) => value is string or Markup or List<object?> or PyTuple or PyDict or PyRange or Undefined);
        Add(table, "callable", (_, value) => value is ICallable or Undefined);
    }

    private static void AddNumbers(Dictionary<string, Test> table)
    {
        Add(table, "odd", (c, value) => Py.AreEqual(c, Operators.Apply(c, "%", value, 2L), 1L));
        Add(table, "even", (c, value) => Py.AreEqual(c, Operators.Apply(c, "%", value, 2L), 0L));
        AddBinary(table, "divisibleby", "num", (c, value, other) => Py.AreEqual(c, Operators.Apply(c, "%", value, other), 0L));
    }

    private static void AddComparisons(Dictionary<string, Test> table)
    {
        (string Op, string[] Names)[] comparisons =
        [
            ("==", ["==", "eq", "equalto"]), ("!=", ["!=", "ne"]), (">", [">", "gt", "greaterthan"]), (">=", [">=", "ge"]),
            ("<", ["<", "lt", "lessthan"]), ("<=", ["<=", "le"]),
        ];
        foreach (var (op, names) in comparisons)
        {
            foreach (var name in names)
                AddBinary(table, name, "<other>", (c, value, other) => CompareExpr.Test(c, op, value, other));
        }
    }

    private static void Add(Dictionary<string, Test> table, string name, Func<RenderContext, object?, bool> body)
    {
        var signature = new Signature(name, ("value", Signature.Required));
        table.Add(name, (c, value, args) => body(c, signature.Bind(value, args)[0]));
    }

    private static void AddBinary(
        Dictionary<string, Test> table, string name, string parameter, Func<RenderContext, object?, object?, bool> body)
    {
        var signature = new Signature(name, ("value", Signature.Required), (parameter, Signature.Required));
        table.Add(name, (c, value, args) =>
        {
            var bound = signature.Bind(value, args);
            return body(c, bound[0], bound[1]);
        });
    }

    // Identity: in Python, small integers and single characters are shared objects; other equal values need not be.
    private static bool IsSame(object? x, object? y) => (x, y) switch
    {
        (null, null) => true,
        (bool a, bool b) => a == b,
        (long a, long b) => a == b && a is >= -5 and <= 256,
        (string a, string b) => a == b,
        _ => ReferenceEquals(x, y),
    };
}
