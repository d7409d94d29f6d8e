using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Filters that create or round numbers.</summary>
internal static class NumberFilters
{
    public static void AddTo(Dictionary<string, Filter> table)
    {
        table.Add("abs", [], (_, args) => PyNumber.IsNumber(args[0])
            ? PyNumber.Abs(args[0]!)
            : throw (args[0] as Undefined)?.Fail() ?? TemplateException.Type($"bad operand type for abs(): '{Py.TypeName(args[0])}'"));
        table.Add("int", [("default", 0L), ("base", 10L)], (c, args) => ToInteger(c, args));
        table.Add("float", [("default", 0.0)], (c, args) =>
        {
            c.Work(8 * ((args[0] as string)?.Length ?? 0));
            return ToFloat(args[0]) ?? args[1];
        });
        table.Add("round", [("precision", 0L), ("method", "common")], Round);
    }

    private static object? ToInteger(RenderContext c, object?[] args)
    {
        switch (args[0])
        {
            case Undefined undefined: throw undefined.Fail();
            case double d when double.IsFinite(d): return PyNumber.Truncate(d);
            case double.PositiveInfinity or double.NegativeInfinity: throw TemplateException.Arithmetic("cannot convert float infinity to integer");
        }

        if (PyNumber.IsInteger(args[0]))
            return PyNumber.Plus(args[0]!);
        if (PyText.TryGet(args[0], out var text))
        {
            c.Work((8L * text.Length) + (text.Length < 5000 ? (long)text.Length * text.Length / 16 : 0));
            if (NumberText.ParseInteger(text, FilterArguments.Integer(args[2])) is { } integer)
                return integer;
            if (NumberText.ParseFloat(text) is { } number && double.IsFinite(number))
                return PyNumber.Truncate(number);
        }

        return args[1];
    }

    private static double? ToFloat(object? value) => value switch
    {
        Undefined undefined => throw undefined.Fail(),
        _ when PyNumber.IsNumber(value) => PyNumber.ToDouble(value!),
        _ => PyText.TryGet(value, out var text) ? NumberText.ParseFloat(text) : null,
    };

    private static object? Round(RenderContext c, object?[] args)
    {
        if (!PyText.TryGet(args[2], out var method) || method is not ("common" or "ceil" or "floor"))
            throw TemplateException.Runtime("method must be common, ceil or floor");
        if (!PyNumber.IsNumber(args[0]))
            throw (args[0] as Undefined)?.Fail() ?? TemplateException.Type($"type {Py.TypeName(args[0])} doesn't define __round__ method");
        var value = args[0]!;
        c.Work(16_384);
        c.Digits(value);
        if (method == "common")
            return RoundHalfEven(value, args[1]);
        var scale = PyNumber.Power(10L, RequireNumber(args[1]));
        var rounded = PyNumber.Multiply(value, scale);
        if (rounded is double scaled)
            rounded = PyNumber.Truncate(method == "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled));
        return PyNumber.Divide(rounded, scale);
    }

    private static object RequireNumber(object? value) => PyNumber.IsNumber(value)
        ? value!
        : throw (value as Undefined)?.Fail() ?? TemplateException.Type($"unsupported operand type(s) for **: 'int' and '{Py.TypeName(value)}'");

    private static object? RoundHalfEven(object value, object? precision)
    {
        if (precision is null)
            return value is double d ? PyNumber.Truncate(Math.Round(d, MidpointRounding.ToEven)) : PyNumber.Plus(value);
        var digits = (int)Math.Clamp(FilterArguments.Integer(precision), -10_000, 10_000);
        if (value is not double number)
        {
            return digits >= 0 ? PyNumber.Plus(value)
                : digits < -5000 ? 0L
                : PyNumber.Normalize(DecimalText.RoundInteger(PyNumber.ToBig(value), -digits));
        }

        var rounded = DecimalText.Round(number, digits);
        return double.IsInfinity(rounded) && double.IsFinite(number)
            ? throw TemplateException.Arithmetic("rounded value too large to represent")
            : rounded;
    }
}
