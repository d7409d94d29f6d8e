using LocalLlm.Jinja.Builtins;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Runtime;

/// <summary>The binary operators.</summary>
internal static class Operators
{
    public static object? Apply(RenderContext c, string op, object? x, object? y)
    {
        if (op == "%" && PyText.TryGet(x, out var format))
            return x is Markup ? Markup.Wrap(Printf.Format(c, format, y, escape: true)) : Printf.Format(c, format, y, escape: false);
        if ((x as Undefined ?? y as Undefined) is { } undefined)
            throw undefined.Fail();
        if (PyNumber.IsNumber(x) && PyNumber.IsNumber(y))
        {
            c.Digits(x);
            c.Digits(y);
            var result = Arithmetic(op, x!, y!);
            c.Digits(result);
            return result;
        }

        return (op switch
        {
            "+" => Concatenate(c, x, y),
            "*" => PyNumber.TryIndex(y, out var count) ? Repeat(c, x, count)
                : PyNumber.TryIndex(x, out count) ? Repeat(c, y, count) : Missing.Value,
            _ => Missing.Value,
        }) is var combined && combined != Missing.Value ? combined : throw Unsupported(op, x, y);
    }

    private static object Arithmetic(string op, object x, object y) => op switch
    {
        "+" => PyNumber.Add(x, y),
        "-" => PyNumber.Subtract(x, y),
        "*" => PyNumber.Multiply(x, y),
        "/" => PyNumber.Divide(x, y),
        "//" => PyNumber.FloorDivide(x, y),
        "%" => PyNumber.Modulo(x, y),
        _ => PyNumber.Power(x, y),
    };

    private static object? Concatenate(RenderContext c, object? x, object? y)
    {
        switch (x, y)
        {
            case (string a, string b):
                c.Allocate((long)a.Length + b.Length);
                return a + b;
            case (Markup or string, Markup or string):
                return new Markup(c.Text(Markup.Escape(c, x).Text + Markup.Escape(c, y).Text));
            case (List<object?> a, List<object?> b):
                c.AllocateItems((long)a.Count + b.Count);
                return new List<object?>([.. a, .. b]);
            case (PyTuple a, PyTuple b):
                c.AllocateItems((long)a.Items.Length + b.Items.Length);
                return new PyTuple([.. a.Items, .. b.Items]);
            default:
                return Missing.Value;
        }
    }

    private static object? Repeat(RenderContext c, object? value, long count)
    {
        if (count is long.MaxValue or long.MinValue)
            throw TemplateException.Arithmetic("cannot fit 'int' into an index-sized integer");
        count = Math.Max(0, count);
        switch (value)
        {
            case string or Markup:
                PyText.TryGet(value, out var text);
                c.Allocate(Times(text!.Length, count));
                var repeated = string.Concat(Enumerable.Repeat(text, text.Length == 0 ? 0 : (int)count));
                return value is Markup ? new Markup(repeated) : repeated;
            case List<object?> list:
                return new List<object?>(RepeatItems(c, list, count));
            case PyTuple tuple:
                return new PyTuple(RepeatItems(c, tuple.Items, count));
            default:
                return Missing.Value;
        }
    }

    private static object?[] RepeatItems(RenderContext c, IReadOnlyCollection<object?> items, long count)
    {
        c.AllocateItems(Times(items.Count, count));
        return items.Count == 0 ? [] : [.. Enumerable.Repeat(items, (int)count).SelectMany(i => i)];
    }

    // Saturates: a product that would overflow must still exceed the budget.
    private static long Times(int length, long count) => length == 0 ? 0 : count > int.MaxValue ? long.MaxValue : length * count;

    private static TemplateException Unsupported(string op, object? x, object? y)
    {
        if (op == "+" && PyText.TryGet(x, out _))
            return TemplateException.Type($"can only concatenate str (not \"{Py.TypeName(y)}\") to str");
        if (op == "+" && x is List<object?>)
            return TemplateException.Type($"can only concatenate list (not \"{Py.TypeName(y)}\") to list");
        return TemplateException.Type(
            $"unsupported operand type(s) for {op}: '{Py.TypeName(x)}' and '{Py.TypeName(y)}'");
    }
}
