using System.Numerics;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Python's format specification: <c>[[fill]align][sign][z][#][0][width][grouping][.precision][type]</c>.</summary>
internal sealed class FormatSpec
{
    private string _fill = " ";
    private char? _align;
    private char? _sign;
    private bool _alternate;
    private bool _zero;
    private long _width;
    private char? _grouping;
    private int? _precision;
    private char? _type;

    public static string Format(RenderContext c, object? value, string spec)
    {
        if (spec.Length == 0)
            return Py.Str(c, value);
        if (!PyNumber.IsNumber(value) && value is not string)
            throw TemplateException.Type($"unsupported format string passed to {Py.TypeName(value)}.__format__");
        var parsed = Parse(c, spec);
        c.Digits(value);
        c.Work(value is double ? 16_384 : 64);
        return value switch
        {
            string text => parsed.Text(c, text),
            double d => parsed.Float(c, d),
            _ => parsed.Integer(c, PyNumber.ToBig(value!)),
        };
    }

    private static FormatSpec Parse(RenderContext c, string spec)
    {
        var result = new FormatSpec();
        var i = 0;
        var hasFill = false;
        var fill = PyText.At(spec, 0);
        if (fill.Length < spec.Length && spec[fill.Length] is '<' or '>' or '=' or '^')
        {
            result._fill = fill;
            hasFill = true;
            result._align = spec[fill.Length];
            i = fill.Length + 1;
        }
        else if (spec[0] is '<' or '>' or '=' or '^')
        {
            result._align = spec[i++];
        }

        if (i < spec.Length && spec[i] is '+' or '-' or ' ')
            result._sign = spec[i++];
        if (i < spec.Length && spec[i] == 'z')
            throw TemplateException.Value("the 'z' format option is not supported");
        if (i < spec.Length && spec[i] == '#')
            result._alternate = spec[i++] == '#';
        if (i < spec.Length && spec[i] == '0' && !hasFill)
        {
            result._zero = spec[i++] == '0';
            result._fill = "0";
        }

        result._width = Number(c, spec, ref i) ?? 0;
        if (i < spec.Length && spec[i] is ',' or '_')
            result._grouping = spec[i++];
        if (i < spec.Length && spec[i] == '.')
        {
            i++;
            result._precision = (int)(Number(c, spec, ref i) ?? throw TemplateException.Value("Format specifier missing precision"));
        }

        if (spec.Length - i > 1)
            throw TemplateException.Value("Invalid format specifier");
        if (i < spec.Length)
            result._type = spec[i];
        return result;
    }

    private static long? Number(RenderContext c, string spec, ref int i)
    {
        long? number = null;
        for (; i < spec.Length && char.IsAsciiDigit(spec[i]); i++)
        {
            number = ((number ?? 0) * 10) + spec[i] - '0';
            c.RequireLength(number.Value);
        }

        return number;
    }

    private string Text(RenderContext c, string text)
    {
        if (_type is not (null or 's'))
            throw Unknown("str");
        if (_sign is not null || _align == '=' || _alternate || _grouping is not null)
            throw TemplateException.Value("Sign, '=' alignment, '#' or grouping not allowed in string format specifier");
        if (_precision is { } limit)
            text = PyText.Slice(text, 0, Math.Min(limit, PyText.Length(text)));
        return Align(c, "", text, _align ?? '<');
    }

    private string Float(RenderContext c, double value)
    {
        string body;
        var type = _type ?? ' ';
        if (type == 'n' && _grouping is not null)
            throw TemplateException.Value($"Cannot specify '{_grouping}' with 'n'.");
        switch (type)
        {
            case ' ' when _precision is null:
                body = NumberText.Write(Math.Abs(value));
                if (_alternate && body.IndexOf('e') is > 0 and var e && !body.Contains('.'))
                    body = body.Insert(e, ".");
                break;
            case ' ':
                body = Shortened(Math.Abs(value));
                break;
            case 'e' or 'E' or 'f' or 'F' or 'g' or 'G':
                body = NumberFormat.Float(value, type, _precision ?? 6, _alternate);
                break;
            case 'n':
                body = NumberFormat.Float(value, 'g', _precision ?? 6, _alternate);
                break;
            case '%':
                body = NumberFormat.Float(value * 100, 'f', _precision ?? 6, _alternate) + "%";
                break;
            default:
                throw Unknown("float");
        }

        return Numeric(c, double.IsNegative(value) && !double.IsNaN(value), "", body, 3);
    }

    // Like 'g', but with at least one digit after the point if there is no exponent.
    private string Shortened(double value)
    {
        if (!double.IsFinite(value))
            return NumberText.Write(value);
        var precision = Math.Max(1, _precision!.Value);
        if (precision > DecimalText.MaxPrecision)
            throw TemplateException.Limit($"a precision of {precision}, allowed are {DecimalText.MaxPrecision}");
        var (digits, exponent) = DecimalText.Significant(value, precision);
        if (!_alternate)
            digits = digits[0] + digits[1..].TrimEnd('0');
        var text = NumberFormat.Layout(digits, exponent, exponent < -4 || exponent >= precision - 1, keepPoint: _alternate);
        return text.Contains('.') || text.Contains('e') ? text : text + ".0";
    }

    private string Integer(RenderContext c, BigInteger value)
    {
        var type = _type ?? 'd';
        if ("eEfFgG%".Contains(type, StringComparison.Ordinal))
            return Float(c, PyNumber.ToDouble(PyNumber.Normalize(value)));
        if (_precision is not null)
            throw TemplateException.Value("Precision not allowed in integer format specifier");
        if (type == 'c')
        {
            if (_sign is not null || _alternate || _grouping is not null)
                throw TemplateException.Value("Sign, '#' or grouping not allowed with integer format specifier 'c'");
            if (value < 0 || value > 0x10FFFF)
                throw TemplateException.Arithmetic("%c arg not in range(0x110000)");
            return Align(c, "", char.ConvertFromUtf32((int)value), _align ?? '<');
        }

        if (!"bdnoxX".Contains(type, StringComparison.Ordinal))
            throw Unknown("int");
        if ((_grouping == ',' && type != 'd') || (_grouping is not null && type == 'n'))
            throw TemplateException.Value($"Cannot specify '{_grouping}' with '{type}'.");
        var prefix = _alternate && type is 'b' or 'o' or 'x' or 'X' ? $"0{type}" : "";
        return Numeric(c, value.Sign < 0, prefix, NumberFormat.Integer(value, type), type is 'd' or 'n' ? 3 : 4);
    }

    private string Numeric(RenderContext c, bool isNegative, string prefix, string body, int group)
    {
        var sign = (isNegative ? "-" : _sign is '+' or ' ' ? _sign.ToString() : "") + prefix;
        var align = _align ?? (_zero ? '=' : '>');
        if (_grouping is { } separator)
        {
            var digits = body.TakeWhile(char.IsAsciiHexDigit).Count();
            if (body.Length > 0 && char.IsAsciiDigit(body[0]) && group == 3)
                digits = body.TakeWhile(char.IsAsciiDigit).Count();
            // Zeros that fill the width are grouped too.
            var room = _fill == "0" && align == '=' ? _width - sign.Length - (body.Length - digits) : 0;
            body = Group(body[..digits], separator, group, (int)room) + body[digits..];
        }

        return Align(c, sign, body, align);
    }

    private static string Group(string digits, char separator, int size, int room)
    {
        var result = new System.Text.StringBuilder();
        for (var i = 0; i < digits.Length || (room > 0 && result.Length < room); i++)
        {
            if (i > 0 && i % size == 0)
                result.Insert(0, separator);
            result.Insert(0, i < digits.Length ? digits[^(i + 1)] : '0');
        }

        return result.ToString();
    }

    private string Align(RenderContext c, string sign, string body, char align)
    {
        var missing = _width - PyText.Length(sign) - PyText.Length(body);
        if (missing <= 0)
            return sign + body;
        return align switch
        {
            '<' => TextShape.Pad(c, sign + body, 0, missing, _fill),
            '^' => TextShape.Pad(c, sign + body, missing / 2, missing - (missing / 2), _fill),
            '=' => sign + TextShape.Pad(c, body, missing, 0, _fill),
            _ => TextShape.Pad(c, sign + body, missing, 0, _fill),
        };
    }

    private TemplateException Unknown(string type) =>
        TemplateException.Value($"Unknown format code '{_type}' for object of type '{type}'");
}
