using System.Numerics;
using System.Text;
using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Values;

/// <summary>Python's <c>repr</c>.</summary>
internal static class PyRepr
{
    public static string Write(RenderContext c, object? value)
    {
        switch (value)
        {
            case string s:
                c.Work(s.Length);
                return c.Text(PyText.Repr(s, guard: c.Guard));
            case List<object?> or PyTuple or PyDict or DictView or Namespace:
                var result = new StringBuilder();
                Append(c, result, value);
                return c.Text(result.ToString());
            default:
                return Scalar(c, value);
        }
    }

    private static void Append(RenderContext c, StringBuilder result, object? value)
    {
        c.Step();
        switch (value)
        {
            case List<object?> list:
                AppendItems(c, result, '[', list, ']');
                break;
            case PyTuple tuple:
                AppendItems(c, result, '(', tuple.Items, ')');
                if (tuple.Items.Length == 1)
                    result.Insert(result.Length - 1, ',');
                break;
            case PyDict dict:
                AppendDict(c, result, dict);
                break;
            case DictView view:
                result.Append(view.TypeName).Append('(');
                AppendItems(c, result, '[', view.Enumerate(), ']');
                result.Append(')');
                break;
            case Namespace space:
                result.Append("<Namespace ");
                AppendDict(c, result, space.Attributes);
                result.Append('>');
                break;
            default:
                result.Append(value is string s ? PyText.Repr(s, guard: c.Guard) : Scalar(c, value));
                c.RequireLength(result.Length);
                break;
        }
    }

    private static void AppendItems(RenderContext c, StringBuilder result, char open, IEnumerable<object?> items, char close)
    {
        result.Append(open);
        var first = true;
        foreach (var item in items)
        {
            if (!first)
                result.Append(", ");
            first = false;
            Append(c, result, item);
        }

        result.Append(close);
    }

    private static void AppendDict(RenderContext c, StringBuilder result, PyDict dict)
    {
        result.Append('{');
        var first = true;
        foreach (var (key, value) in dict.Items)
        {
            if (!first)
                result.Append(", ");
            first = false;
            Append(c, result, key);
            result.Append(": ");
            Append(c, result, value);
        }

        result.Append('}');
    }

    private static string Scalar(RenderContext c, object? value)
    {
        c.Digits(value);
        return ScalarText(value, c.Guard);
    }

    private static string ScalarText(object? value, char? guard) => value switch
    {
        null => "None",
        bool b => b ? "True" : "False",
        long l => l.ToString(System.Globalization.CultureInfo.InvariantCulture),
        BigInteger big => NumberText.Write(big),
        double d => NumberText.Write(d),
        Markup m => $"Markup({PyText.Repr(m.Text, guard: guard)})",
        Undefined => "Undefined",
        PyRange { Step: 1 } range => $"range({range.Start}, {range.Stop})",
        PyRange range => $"range({range.Start}, {range.Stop}, {range.Step})",
        Macro macro => macro.Name is null ? "<Macro anonymous>" : $"<Macro {PyText.Repr(macro.Name)}>",
        LoopContext loop => $"<LoopContext {loop.Index}/{loop.Length}>",
        PyType type => $"<class '{type.FullName}'>",
        _ => $"<{Py.TypeName(value)} object>",
    };
}
