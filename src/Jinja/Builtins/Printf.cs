using System.Numerics;
using System.Text;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Python's <c>format % values</c>.</summary>
internal sealed class Printf
{
    private readonly RenderContext _c;
    private readonly string _format;
    private readonly object? _values;
    private readonly bool _escape;
    private int _position;
    private int _next;

    private Printf(RenderContext c, string format, object? values, bool escape)
    {
        _c = c;
        _format = format;
        _values = values;
        _escape = escape;
    }

    /// <param name="c">The render.</param>
    /// <param name="format">The format.</param>
    /// <param name="values">A tuple of values, a mapping, or one value.</param>
    /// <param name="escape">The format is markup, so inserted text is escaped.</param>
    public static string Format(RenderContext c, string format, object? values, bool escape) =>
        new Printf(c, format, values, escape).Run();

    private string Run()
    {
        var result = new StringBuilder();
        for (; _position < _format.Length; _position++)
        {
            _c.Step();
            var percent = _format.IndexOf('%', _position);
            result.Append(_format, _position, (percent < 0 ? _format.Length : percent) - _position);
            if (percent < 0)
                break;
            _position = percent + 1;
            result.Append(Conversion());
            _c.RequireLength(result.Length);
        }

        // A value with subscripts counts as a mapping, and the format need not use a mapping at all.
        var isMapping = _values is PyDict or List<object?> or PyRange or Undefined;
        if (_values is PyTuple tuple ? _next < tuple.Items.Length : !isMapping && _next == 0)
            throw TemplateException.Type("not all arguments converted during string formatting");
        return _c.Text(result.ToString());
    }

    private string Conversion()
    {
        if (Peek() == '%')
            return "%";
        object? value = Missing.Value;
        if (Peek() == '(')
            value = Mapped();
        var flags = "";
        for (; Peek() is '-' or '+' or ' ' or '#' or '0'; _position++)
            flags += Peek();
        var width = Number(out var leftAligned);
        if (leftAligned)
            flags += '-';
        int? precision = null;
        if (Peek() == '.')
        {
            _position++;
            precision = Math.Max(0, Number(out _) ?? 0);
        }

        if (Peek() is 'l' or 'h' or 'L')
            _position++;
        var type = Peek();
        if (type == '\0')
            throw TemplateException.Value("incomplete format");
        if (!"diouxXeEfFgGcrsa".Contains(type, StringComparison.Ordinal))
            throw TemplateException.Value($"unsupported format character '{type}'");
        if (value == Missing.Value)
            value = Next();
        var (sign, body) = Convert(value, type, precision, flags);
        return Pad(sign, body, type, flags, width ?? 0);
    }

    private char Peek() => _position < _format.Length ? _format[_position] : '\0';

    private object? Mapped()
    {
        if (_values is not (PyDict or List<object?> or PyRange or Undefined))
            throw TemplateException.Type("format requires a mapping");
        var depth = 1;
        var start = ++_position;
        for (; depth > 0; _position++)
        {
            depth += Peek() switch
            {
                '(' => 1,
                ')' => -1,
                '\0' => throw TemplateException.Value("incomplete format key"),
                _ => 0,
            };
        }

        var key = _format[start..(_position - 1)];
        return _values switch
        {
            PyDict dict when dict.TryGet(key, out var value) => value,
            Undefined undefined => throw undefined.Fail(),
            _ => throw TemplateException.Lookup($"no key {PyText.Repr(key)}"),
        };
    }

    private int? Number(out bool isNegative)
    {
        isNegative = false;
        long? number = null;
        if (Peek() == '*')
        {
            _position++;
            var value = Next();
            if (!PyNumber.IsInteger(value))
                throw TemplateException.Type("* wants int");
            PyNumber.TryIndex(value, out var given);
            isNegative = given < 0;
            number = given == long.MinValue ? long.MaxValue : Math.Abs(given);
        }

        for (; char.IsAsciiDigit(Peek()); _position++)
        {
            number = ((number ?? 0) * 10) + Peek() - '0';
            _c.RequireLength(number.Value);
        }

        _c.RequireLength(number ?? 0);
        return (int?)number;
    }

    private object? Next()
    {
        if (_values is PyTuple tuple)
            return _next < tuple.Items.Length ? tuple.Items[_next++] : throw NotEnough();
        return _next++ == 0 ? _values : throw NotEnough();
    }

    private (string Sign, string Body) Convert(object? value, char type, int? precision, string flags)
    {
        switch (type)
        {
            case 's' or 'r' or 'a':
                var text = type == 's' ? Py.Str(_c, value) : type == 'r' ? PyRepr.Write(_c, value) : StringFormat.ToAscii(_c, value);
                if (_escape)
                    text = type == 's' ? Markup.Escape(_c, value).Text : Markup.Escape(_c, text).Text;
                return ("", precision is { } limit && limit < text.Length ? PyText.Slice(text, 0, limit) : text);
            case 'c':
                return ("", Character(value));
            case 'd' or 'i' or 'u' or 'x' or 'X' or 'o':
                var integer = RequireInteger(value, type);
                _c.Digits(integer);
                var digits = NumberFormat.Integer(integer, type);
                _c.RequireLength(precision ?? 0);
                return (Sign(integer.Sign < 0, flags) + (type is 'x' or 'X' or 'o' && flags.Contains('#') ? $"0{type}" : ""),
                    digits.PadLeft(precision ?? 0, '0'));
            default:
                var number = RequireFloat(value);
                _c.Work(16_384);
                return (Sign(double.IsNegative(number) && !double.IsNaN(number), flags),
                    NumberFormat.Float(number, type, precision ?? 6, flags.Contains('#')));
        }
    }

    private static string Pad(string sign, string body, char type, string flags, int width)
    {
        var missing = width - PyText.Length(sign) - PyText.Length(body);
        if (missing <= 0)
            return sign + body;
        if (flags.Contains('-'))
            return sign + body + new string(' ', missing);
        return flags.Contains('0') && type is not ('s' or 'r' or 'a' or 'c')
            ? sign + new string('0', missing) + body
            : new string(' ', missing) + sign + body;
    }

    private static string Sign(bool isNegative, string flags) =>
        isNegative ? "-" : flags.Contains('+') ? "+" : flags.Contains(' ') ? " " : "";

    private static string Character(object? value)
    {
        if (PyText.TryGet(value, out var text) && PyText.Length(text) == 1)
            return text;
        if (!PyNumber.TryIndex(value, out var code))
            throw TemplateException.Type("%c requires int or char");
        if (code is < 0 or > 0x10FFFF)
            throw TemplateException.Arithmetic("%c arg not in range(0x110000)");
        return code is >= 0xD800 and <= 0xDFFF ? ((char)code).ToString() : char.ConvertFromUtf32((int)code);
    }

    private static BigInteger RequireInteger(object? value, char type) => value switch
    {
        Undefined undefined => throw undefined.Fail(),
        double d when type is 'd' or 'i' or 'u' => PyNumber.ToBig(PyNumber.Truncate(d)),
        _ when PyNumber.IsInteger(value) => PyNumber.ToBig(value!),
        _ => throw TemplateException.Type($"%{type} format: a real number is required, not {Py.TypeName(value)}"),
    };

    private static double RequireFloat(object? value) => value is Undefined undefined ? throw undefined.Fail()
        : PyNumber.IsNumber(value) ? PyNumber.ToDouble(value!)
        : throw TemplateException.Type($"must be real number, not {Py.TypeName(value)}");

    private static TemplateException NotEnough() => TemplateException.Type("not enough arguments for format string");
}
