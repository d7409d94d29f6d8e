using System.Text;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary><c>str.format</c>, with the sandbox's rules for the fields that it reads.</summary>
internal sealed class StringFormat
{
    private readonly RenderContext _c;
    private readonly Arguments _args;
    private readonly bool _isMarkup;
    private int _automatic;
    private bool _isManual;

    private StringFormat(RenderContext c, Arguments args, bool isMarkup)
    {
        _c = c;
        _args = args;
        _isMarkup = isMarkup;
    }

    public static object? Call(RenderContext c, string format, Arguments args, bool isMarkup)
    {
        var text = c.Text(new StringFormat(c, args, isMarkup).Run(format, depth: 2));
        return isMarkup ? new Markup(text) : text;
    }

    public static string ToAscii(RenderContext c, object? value)
    {
        var repr = PyRepr.Write(c, value);
        var result = new StringBuilder(repr.Length);
        for (var i = 0; i < repr.Length; i++)
        {
            var character = PyText.At(repr, i);
            result.Append(repr[i] < 0x80 || repr[i] == c.Guard ? character : PyText.Repr(character, ascii: true).AsSpan(1).TrimEnd('\'').ToString());
            i += character.Length - 1;
        }

        return result.ToString();
    }

    private string Run(string format, int depth)
    {
        if (depth < 0)
            throw TemplateException.Value("Max string recursion exceeded");
        var result = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            var brace = format.AsSpan(i).IndexOfAny('{', '}');
            result.Append(format, i, brace < 0 ? format.Length - i : brace);
            if (brace < 0)
                break;
            i += brace;
            _c.Step();
            if (i + 1 < format.Length && format[i + 1] == format[i])
            {
                result.Append(format[i++]);
                continue;
            }

            if (format[i] == '}')
                throw TemplateException.Value("Single '}' encountered in format string");
            var end = FieldEnd(format, i + 1);
            result.Append(Field(format[(i + 1)..end], depth));
            _c.RequireLength(result.Length);
            i = end;
        }

        return result.ToString();
    }

    private static int FieldEnd(string format, int start)
    {
        var depth = 1;
        var inBrackets = false;
        for (var i = start; i < format.Length; i++)
        {
            // Brackets protect braces only in the field name, not in the format specification.
            if (depth == 1 && format[i] == '[' && !inBrackets && !format.AsSpan(start, i - start).ContainsAny(":!"))
                inBrackets = true;
            else if (format[i] == ']')
                inBrackets = false;
            else if (!inBrackets && format[i] == '{')
                depth++;
            else if (!inBrackets && format[i] == '}' && --depth == 0)
                return i;
        }

        throw TemplateException.Value(start == format.Length ? "Single '{' encountered in format string" : "expected '}' before end of string");
    }

    private string Field(string field, int depth)
    {
        _c.Step();
        var split = NameEnd(field);
        var name = field[..split];
        var rest = field[split..];
        char? conversion = null;
        if (rest.StartsWith('!'))
        {
            if (rest.Length < 2 || (rest.Length > 2 && rest[2] != ':'))
                throw TemplateException.Value(rest.Length < 2 ? "unmatched '{' in format spec" : "expected ':' after conversion specifier");
            conversion = rest[1];
            rest = rest[2..];
        }

        var value = Lookup(name);
        value = conversion switch
        {
            null => value,
            's' => Py.Str(_c, value),
            'r' => PyRepr.Write(_c, value),
            'a' => ToAscii(_c, value),
            _ => throw TemplateException.Value($"Unknown conversion specifier {conversion}"),
        };
        var spec = rest.StartsWith(':') ? Run(rest[1..], depth - 1) : "";
        if (!_isMarkup)
            return FormatSpec.Format(_c, value is Markup m && spec.Length > 0 ? m.Text : value, spec);
        if (value is Markup markup)
            return spec.Length == 0 ? markup.Text : throw TemplateException.Value("Unsupported format specification for Markup.");
        return Markup.Escape(_c, FormatSpec.Format(_c, value, spec)).Text;
    }

    private static int NameEnd(string field)
    {
        var inBrackets = false;
        for (var i = 0; i < field.Length; i++)
        {
            if (field[i] is '[' or ']')
                inBrackets = field[i] == '[';
            else if (!inBrackets && field[i] is ':' or '!')
                return i;
            else if (field[i] is '{' or '}' && !inBrackets)
                throw TemplateException.Value("unexpected '{' in field name");
        }

        return field.Length;
    }

    private object? Lookup(string path)
    {
        var end = path.AsSpan().IndexOfAny('.', '[');
        var first = end < 0 ? path : path[..end];
        var value = First(first);
        for (var i = end; i >= 0 && i < path.Length;)
        {
            if (path[i] == '.')
            {
                var next = path.AsSpan(i + 1).IndexOfAny('.', '[');
                var name = next < 0 ? path[(i + 1)..] : path.Substring(i + 1, next);
                RequireName(name);
                value = Access.Attribute(_c, value, name);
                i += name.Length + 1;
                continue;
            }

            var close = path[i] == '[' ? path.IndexOf(']', i) : -1;
            if (close < 0)
            {
                throw TemplateException.Value(path[i] == '['
                    ? "Missing ']' in format string"
                    : "Only '.' or '[' may follow ']' in format field specifier");
            }

            var key = path[(i + 1)..close];
            RequireName(key);
            value = Access.Item(_c, value, key.All(char.IsAsciiDigit) ? NumberText.ParseInteger(key) : key);
            i = close + 1;
        }

        return value;
    }

    private object? First(string name)
    {
        if (name.Length > 0 && !name.All(char.IsAsciiDigit))
        {
            return _args.Named is not null && _args.Named.TryGet(name, out var value)
                ? value
                : throw TemplateException.Lookup(PyText.Repr(name));
        }

        var isManual = name.Length > 0;
        if ((isManual && _automatic > 0) || (!isManual && _isManual))
            throw TemplateException.Value("cannot mix manual field specification and automatic field numbering");
        _isManual |= isManual;
        var index = isManual ? NumberText.ParseInteger(name) as long? ?? long.MaxValue : _automatic++;
        return index < _args.Positional.Length
            ? _args.Positional[index]
            : throw TemplateException.Lookup("Replacement index out of range for positional args tuple");
    }

    private static void RequireName(string name)
    {
        if (name.Length == 0)
            throw TemplateException.Value("Empty attribute in format string");
    }
}
