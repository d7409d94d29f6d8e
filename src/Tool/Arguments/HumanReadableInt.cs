using System.Globalization;

namespace LocalLlm.Tool.Arguments;

/// <summary>
/// Counts in vLLM's notation: <c>1k</c> is 1,000, <c>1K</c> is 1,024, <c>25.6k</c> is 25,600; also m/M, g/G, t/T. Sizes may also
/// be written <c>4GiB</c> (1,024-based) or <c>4GB</c> (1,000-based).
/// </summary>
internal static class HumanReadableInt
{
    private const string Units = "kmgt";

    /// <summary>Reads a count.</summary>
    /// <param name="text">Digits, optionally with a fraction and a unit.</param>
    /// <param name="value">The count.</param>
    /// <returns>False for anything else, for a result that is not whole (a fraction of a binary unit included), and for one
    /// beyond <see cref="long"/>.</returns>
    public static bool TryParse(string text, out long value)
    {
        value = 0;
        var (number, factor) = Split(text.Trim());
        const NumberStyles style = NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign;
        if (!decimal.TryParse(number, style, CultureInfo.InvariantCulture, out var amount))
            return false;
        // As in vLLM: 1.5K is more likely a slip than 1,536.
        if (factor % 1024 == 0 && !decimal.IsInteger(amount))
            return false;
        if (Math.Abs(amount) > (decimal)long.MaxValue / factor || !decimal.IsInteger(amount * factor))
            return false;
        value = (long)(amount * factor);
        return true;
    }

    private static (string Number, long Factor) Split(string text)
    {
        foreach (var (suffix, radix) in new[] { ("iB", 1024L), ("B", 1000L) })
        {
            var length = suffix.Length + 1;
            if (text.Length > length && text.EndsWith(suffix, StringComparison.Ordinal) && UnitOf(text[^length]) is > 0 and var sized)
                return (text[..^length], Power(radix, sized));
        }

        return text.Length > 1 && UnitOf(text[^1]) is > 0 and var unit
            ? (text[..^1], Power(char.IsAsciiLetterUpper(text[^1]) ? 1024 : 1000, unit))
            : (text, 1);
    }

    private static int UnitOf(char letter) => Units.IndexOf(char.ToLowerInvariant(letter), StringComparison.Ordinal) + 1;

    private static long Power(long radix, int exponent) => exponent == 0 ? 1 : radix * Power(radix, exponent - 1);
}
