using System.Globalization;
using System.Numerics;
using System.Text;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Python's <c>json.dumps</c>, with which transformers replaces Jinja2's <c>tojson</c> filter.</summary>
internal sealed class JsonWriter
{
    private readonly RenderContext _c;
    private readonly StringBuilder _result = new();
    private readonly bool _ensureAscii;
    private readonly bool _sortKeys;
    private readonly string? _indent;
    private readonly string _itemSeparator;
    private readonly string _keySeparator;

    public JsonWriter(RenderContext c, bool ensureAscii, object? indent, object? separators, bool sortKeys)
    {
        _c = c;
        _ensureAscii = ensureAscii;
        _sortKeys = sortKeys;
        if (PyNumber.TryIndex(indent, out var width))
        {
            c.RequireLength(width);
            _indent = new string(' ', (int)Math.Max(0, width));
        }
        else if (indent is not null)
        {
            _indent = TextSearch.Text(indent);
        }

        _itemSeparator = _indent is null ? ", " : ",";
        _keySeparator = ": ";
        if (separators is not null)
        {
            var parts = Py.ToList(c, separators);
            if (parts.Count != 2)
                throw TemplateException.Value($"separators must be a pair, not {parts.Count} items");
            _itemSeparator = TextSearch.Text(parts[0]);
            _keySeparator = TextSearch.Text(parts[1]);
        }
    }

    public string Write(object? value)
    {
        Append(value, 0);
        return _c.Text(_result.ToString());
    }

    private void Append(object? value, int depth)
    {
        _c.Step();
        switch (value)
        {
            case null or bool or long or BigInteger or double:
                _c.Digits(value);
                _result.Append(Scalar(value));
                break;
            case List<object?> list:
                AppendList(list, depth);
                break;
            case PyTuple tuple:
                AppendList(tuple.Items, depth);
                break;
            case PyDict dict:
                AppendDict(dict, depth);
                break;
            default:
                AppendText(PyText.TryGet(value, out var text)
                    ? text
                    : throw TemplateException.Type($"Object of type {Py.TypeName(value)} is not JSON serializable"));
                break;
        }

        _c.RequireLength(_result.Length);
    }

    private static string Scalar(object? value) => value switch
    {
        null => "null",
        bool b => b ? "true" : "false",
        long l => l.ToString(CultureInfo.InvariantCulture),
        BigInteger big => NumberText.Write(big),
        double.NaN => "NaN",
        double.PositiveInfinity => "Infinity",
        double.NegativeInfinity => "-Infinity",
        _ => NumberText.Write((double)value),
    };

    private void AppendList(IList<object?> items, int depth)
    {
        _result.Append('[');
        for (var i = 0; i < items.Count; i++)
        {
            Separate(i == 0, depth + 1);
            Append(items[i], depth + 1);
        }

        if (items.Count > 0)
            NewLine(depth);
        _result.Append(']');
    }

    private void AppendDict(PyDict dict, int depth)
    {
        var items = dict.Items;
        if (_sortKeys)
        {
            var pairs = dict.Items.Select(item => (object?)new PyTuple(item.Key, item.Value)).ToList();
            items = Sorting.Sort(_c, pairs, pair => pair, reverse: false)
                .Select(pair => new KeyValuePair<object?, object?>(((PyTuple)pair!).Items[0], ((PyTuple)pair).Items[1]));
        }

        _result.Append('{');
        var first = true;
        foreach (var (key, value) in items)
        {
            Separate(first, depth + 1);
            first = false;
            AppendText(PyText.TryGet(key, out var text) ? text
                : key is null || PyNumber.IsNumber(key) ? Scalar(key)
                : throw TemplateException.Type($"keys must be str, int, float, bool or None, not {Py.TypeName(key)}"));
            _result.Append(_keySeparator);
            Append(value, depth + 1);
        }

        if (!first)
            NewLine(depth);
        _result.Append('}');
    }

    private void Separate(bool isFirst, int depth)
    {
        if (!isFirst)
            _result.Append(_itemSeparator);
        NewLine(depth);
    }

    private void NewLine(int depth)
    {
        if (_indent is null)
            return;
        _c.Work((long)_indent.Length * depth);
        _c.RequireLength(_result.Length + ((long)_indent.Length * depth));
        _result.Append('\n').Insert(_result.Length, _indent, depth);
    }

    private void AppendText(string text)
    {
        _c.Work(text.Length);
        _result.Append('"');
        foreach (var ch in text)
        {
            switch (ch)
            {
                case '"' or '\\': _result.Append('\\').Append(ch); break;
                case '\n': _result.Append("\\n"); break;
                case '\r': _result.Append("\\r"); break;
                case '\t': _result.Append("\\t"); break;
                case '\b': _result.Append("\\b"); break;
                case '\f': _result.Append("\\f"); break;
                default:
                    if (ch < ' ' || (_ensureAscii && ch > '~' && ch != _c.Guard))
                        _result.Append(CultureInfo.InvariantCulture, $"\\u{(int)ch:x4}");
                    else
                        _result.Append(ch);
                    break;
            }
        }

        _result.Append('"');
    }
}
