using System.Globalization;
using System.Text;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Python's <c>strftime</c> of a local time without a zone, in the C locale of glibc.</summary>
internal static class Strftime
{
    // No date needs more padding.
    private const int MaxWidth = 64;

    public static string Format(string format, DateTimeOffset now)
    {
        var result = new StringBuilder(format.Length * 2);
        Append(result, format, now);
        return result.ToString();
    }

    private static void Append(StringBuilder result, string format, DateTimeOffset now)
    {
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                result.Append(format[i]);
                continue;
            }

            var start = i++;
            char? flag = null;
            for (; i < format.Length && format[i] is '-' or '_' or '0' or '^' or '#'; i++)
                flag = format[i];
            var width = 0;
            for (; i < format.Length && char.IsAsciiDigit(format[i]); i++)
                width = Math.Min(MaxWidth, (width * 10) + format[i] - '0');
            if (i < format.Length && format[i] is 'E' or 'O')
                i++;
            var text = i < format.Length ? Directive(format[i], now, flag, width) : null;
            result.Append(text ?? format[start..Math.Min(i + 1, format.Length)]);
        }
    }

    private static string? Directive(char directive, DateTimeOffset now, char? flag, int width)
    {
        var number = Number(directive, now);
        if (number is var (value, digits, pad))
        {
            pad = flag switch { '_' => ' ', '0' => '0', _ => pad };
            var text = value.ToString(CultureInfo.InvariantCulture);
            return flag == '-' ? text : text.PadLeft(Math.Max(digits, width), pad);
        }

        var words = Words(directive, now);
        if (words is null)
            return null;
        words = flag == '^' ? words.ToUpperInvariant() : flag == '#' ? Swap(directive, words) : words;
        return words.PadLeft(width, flag == '0' ? '0' : ' ');
    }

    private static string Swap(char directive, string words) =>
        directive == 'p' ? words.ToLowerInvariant() : words.ToUpperInvariant();

    private static (long Value, int Digits, char Pad)? Number(char directive, DateTimeOffset now)
    {
        var weekday = (int)now.DayOfWeek;
        return directive switch
        {
            'd' => (now.Day, 2, '0'),
            'e' => (now.Day, 2, ' '),
            'm' => (now.Month, 2, '0'),
            'y' => (now.Year % 100, 2, '0'),
            'Y' => (now.Year, 1, '0'),
            'C' => (now.Year / 100, 2, '0'),
            'H' => (now.Hour, 2, '0'),
            'k' => (now.Hour, 2, ' '),
            'I' => (((now.Hour + 11) % 12) + 1, 2, '0'),
            'l' => (((now.Hour + 11) % 12) + 1, 2, ' '),
            'M' => (now.Minute, 2, '0'),
            'S' => (now.Second, 2, '0'),
            'f' => (now.Ticks % TimeSpan.TicksPerSecond / 10, 6, '0'),
            'j' => (now.DayOfYear, 3, '0'),
            'U' => ((now.DayOfYear + 6 - weekday) / 7, 2, '0'),
            'W' => ((now.DayOfYear + 6 - ((weekday + 6) % 7)) / 7, 2, '0'),
            'V' => (ISOWeek.GetWeekOfYear(now.DateTime), 2, '0'),
            'G' => (ISOWeek.GetYear(now.DateTime), 1, '0'),
            'g' => (ISOWeek.GetYear(now.DateTime) % 100, 2, '0'),
            'u' => (weekday == 0 ? 7 : weekday, 1, '0'),
            'w' => (weekday, 1, '0'),
            's' => (now.ToUnixTimeSeconds(), 1, '0'),
            _ => null,
        };
    }

    private static string? Words(char directive, DateTimeOffset now)
    {
        string Invariant(string format) => now.ToString(format, CultureInfo.InvariantCulture);
        string Composed(string format) => Format(format, now);
        return directive switch
        {
            'a' => Invariant("ddd"),
            'A' => Invariant("dddd"),
            'b' or 'h' => Invariant("MMM"),
            'B' => Invariant("MMMM"),
            'p' => now.Hour < 12 ? "AM" : "PM",
            'P' => now.Hour < 12 ? "am" : "pm",
            'c' => Composed("%a %b %e %H:%M:%S %Y"),
            'x' or 'D' => Composed("%m/%d/%y"),
            'X' or 'T' => Composed("%H:%M:%S"),
            'F' => Composed("%Y-%m-%d"),
            'R' => Composed("%H:%M"),
            'r' => Composed("%I:%M:%S %p"),
            'n' => "\n",
            't' => "\t",
            '%' => "%",
            'z' or 'Z' => "",
            _ => null,
        };
    }
}
