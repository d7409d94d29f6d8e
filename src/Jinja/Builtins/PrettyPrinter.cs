using System.Text;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Python's <c>pprint.pformat</c> for lists, tuples and dictionaries that do not fit a line of 80 characters.</summary>
internal sealed class PrettyPrinter
{
    private const int Width = 80;

    private readonly RenderContext _c;
    private readonly StringBuilder _result = new();

    private PrettyPrinter(RenderContext c) => _c = c;

    public static string Format(RenderContext c, object? value)
    {
        var printer = new PrettyPrinter(c);
        printer.Append(value, 0, 0);
        return c.Text(printer._result.ToString());
    }

    private void Append(object? value, int indent, int allowance)
    {
        _c.Step();
        var repr = Repr(value);
        var room = Width - indent - allowance;
        if (repr.Length > room)
        {
            switch (value)
            {
                case List<object?> { Count: > 0 } list:
                    AppendItems('[', list, "]", indent, allowance);
                    return;
                case PyTuple { Items.Length: > 0 } tuple:
                    AppendItems('(', tuple.Items, tuple.Items.Length == 1 ? ",)" : ")", indent, allowance);
                    return;
                case PyDict { Count: > 0 } dict:
                    AppendDict(dict, indent, allowance);
                    return;
                case string or Markup:
                    throw TemplateException.Runtime("pprint of a string longer than a line is not available in chat templates");
            }
        }

        _result.Append(repr);
        _c.RequireLength(_result.Length);
    }

    private void AppendItems(char open, IList<object?> items, string close, int indent, int allowance)
    {
        _result.Append(open);
        for (var i = 0; i < items.Count; i++)
        {
            if (i > 0)
                NewLine(indent + 1);
            Append(items[i], indent + 1, i == items.Count - 1 ? allowance + close.Length : 1);
            _result.Append(i == items.Count - 1 ? close : ",");
        }
    }

    private void AppendDict(PyDict dict, int indent, int allowance)
    {
        var pairs = Sorted(dict);
        _result.Append('{');
        for (var i = 0; i < pairs.Count; i++)
        {
            if (i > 0)
                NewLine(indent + 1);
            var key = Repr(pairs[i].Items[0]);
            _result.Append(key).Append(": ");
            Append(pairs[i].Items[1], indent + key.Length + 3, i == pairs.Count - 1 ? allowance + 1 : 1);
            _result.Append(i == pairs.Count - 1 ? "}" : ",");
        }
    }

    private List<PyTuple> Sorted(PyDict dict)
    {
        var pairs = dict.Items.Select(item => (object?)new PyTuple(item.Key, item.Value)).ToList();
        return Sorting.Sort(_c, pairs, pair => ((PyTuple)pair!).Items[0], reverse: false, Before).ConvertAll(pair => (PyTuple)pair!);
    }

    // Keys that have no order go by the name of their type.
    private bool Before(object? x, object? y)
    {
        try
        {
            return Py.Less(_c, x, y);
        }
        catch (TemplateException e) when (e.Kind == TemplateErrorKind.Type)
        {
            return string.CompareOrdinal(Py.TypeName(x), Py.TypeName(y)) < 0;
        }
    }

    // pprint writes dictionaries with sorted keys also where they fit a line.
    private string Repr(object? value)
    {
        _c.Step();
        return _c.Text(ReprOf(value));
    }

    private string ReprOf(object? value) => value switch
    {
        PyDict dict => "{" + string.Join(", ", Sorted(dict).Select(p => $"{Repr(p.Items[0])}: {Repr(p.Items[1])}")) + "}",
        List<object?> list => "[" + string.Join(", ", list.Select(Repr)) + "]",
        PyTuple tuple => "(" + string.Join(", ", tuple.Items.Select(Repr)) + (tuple.Items.Length == 1 ? ",)" : ")"),
        _ => PyRepr.Write(_c, value),
    };

    private void NewLine(int indent)
    {
        _c.Work(indent);
        _result.Append('\n').Append(' ', indent);
    }
}
