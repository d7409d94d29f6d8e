using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace LocalLlm.Tool.Arguments;

/// <summary>Creates options whose values are parsed the same way in every culture, with errors that say what is allowed.</summary>
internal static class Options
{
    /// <summary>The positional argument for the model's folder, without <c>--model</c> in front.</summary>
    public static Argument<string?> Model() => Positional("MODEL", "The model's folder, or org/name (or --model).");

    /// <summary>An optional positional text.</summary>
    public static Argument<string?> Positional(string name, string description) =>
        new(name) { Description = description, Arity = ArgumentArity.ZeroOrOne };

    /// <summary>An option with a text as value.</summary>
    public static Option<string?> Text(string name, string description, string helpName, params string[] aliases) =>
        new(name, aliases) { Description = description, HelpName = helpName };

    /// <summary>An option without a value.</summary>
    public static Option<bool> Flag(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.Zero };

    /// <summary>A count in vLLM's notation.</summary>
    public static Option<int?> Count(string name, string description, params string[] aliases) =>
        new(name, aliases) { Description = description, HelpName = "N", CustomParser = Int };

    /// <summary>Several counts separated by commas.</summary>
    public static Option<IReadOnlyList<int>?> Counts(string name, string description) =>
        new(name) { Description = description, HelpName = "N,N,...", CustomParser = Ints };

    /// <summary>A count in vLLM's notation, or <c>auto</c>, which is -1.</summary>
    public static Option<int?> CountOrAuto(string name, string description) =>
        new(name) { Description = description, HelpName = "N", CustomParser = result => result.Tokens[0].Value == "auto" ? -1 : Int(result) };

    /// <summary>A large count in vLLM's notation.</summary>
    public static Option<long?> Size(string name, string description, string helpName) =>
        new(name) { Description = description, HelpName = helpName, CustomParser = result => Whole(result, long.MinValue, long.MaxValue) };

    /// <summary>A device's memory: like <see cref="Size"/>, or a fractional number of GiB (<c>14.6GiB</c>).</summary>
    public static Option<long?> Memory(string name, string description) =>
        new(name) { Description = description, HelpName = "SIZE", CustomParser = result => Gibibytes(result.Tokens[0].Value) ?? Whole(result, long.MinValue, long.MaxValue) };

    /// <summary>The bytes of a possibly fractional number of GiB, such as <c>14.6GiB</c>; null if the text is anything else.</summary>
    public static long? Gibibytes(string text)
    {
        const string unit = "GiB";
        const double maxGibibytes = 1 << 30;
        return text.EndsWith(unit, StringComparison.Ordinal)
            && double.TryParse(text.AsSpan(0, text.Length - unit.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number < maxGibibytes
            ? (long)(number * (1L << 30)) : null;
    }

    /// <summary>A finite number.</summary>
    public static Option<double?> Number(string name, string description) =>
        new(name) { Description = description, HelpName = "X", CustomParser = Finite };

    /// <summary>A number, or <c>inf</c>.</summary>
    public static Option<double?> Rate(string name, string description) =>
        new(name) { Description = description, HelpName = "X", CustomParser = result => result.Tokens[0].Value == "inf" ? double.PositiveInfinity : Finite(result) };

    /// <summary>One of a few values, given by name.</summary>
    public static Option<T?> Choice<T>(string name, string description, params (string Name, T Value)[] choices)
        where T : struct => new(name)
    {
        Description = $"{description} One of: {string.Join(", ", choices.Select(choice => choice.Name))}.",
        HelpName = "NAME",
        CustomParser = result =>
        {
            var given = result.Tokens[0].Value;
            foreach (var (choice, value) in choices)
            {
                if (choice == given)
                    return value;
            }

            result.AddError($"{NameOf(result)}: '{given}' is none of {string.Join(", ", choices.Select(choice => choice.Name))}.");
            return null;
        },
    };

    private static int[]? Ints(ArgumentResult result)
    {
        var counts = new List<int>();
        foreach (var part in result.Tokens[0].Value.Split(','))
        {
            if (!int.TryParse(part, NumberStyles.None | NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var count))
            {
                result.AddError($"{NameOf(result)}: '{part}' is not a whole number; give whole numbers with commas between them, such as 14,13,13.");
                return null;
            }

            counts.Add(count);
        }

        return [.. counts];
    }

    private static int? Int(ArgumentResult result) => (int?)Whole(result, int.MinValue, int.MaxValue);

    private static long? Whole(ArgumentResult result, long least, long most)
    {
        var text = result.Tokens[0].Value;
        if (HumanReadableInt.TryParse(text, out var value) && value >= least && value <= most)
            return value;
        const string notation = "k, m, g stand for powers of 1,000 (1.5k), K, M, G for powers of 1,024 (whole ones only)";
        result.AddError($"{NameOf(result)}: '{text}' is not a whole number that fits; {notation}.");
        return null;
    }

    private static double? Finite(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value))
            return value;
        result.AddError($"{NameOf(result)}: '{text}' is not a number.");
        return null;
    }

    private static string NameOf(ArgumentResult result) => (result.Parent as OptionResult)?.Option.Name ?? result.Argument.Name;
}
