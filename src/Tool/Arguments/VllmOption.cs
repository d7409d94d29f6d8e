using System.CommandLine;
using System.Globalization;

namespace LocalLlm.Tool.Arguments;

/// <summary>
/// An option of <c>vllm serve</c> that changes nothing here. It is accepted if it asks for what this program does anyway.
/// Otherwise it is refused by name, with the reason.
/// </summary>
internal sealed class VllmOption : Option<string[]>
{
    private const string Number = "#";

    private readonly string? _reason;
    private readonly IReadOnlyList<string>? _accepted;

    private VllmOption(string name, string[] aliases, string? reason, IReadOnlyList<string>? accepted)
        : base(name, aliases)
    {
        _reason = reason;
        _accepted = accepted;
        CustomParser = result => [.. result.Tokens.Select(token => token.Value)];
        // The help describes only what this program does.
        Hidden = true;
    }

    /// <summary>Why the option, or another value of it, is refused; null: the option is accepted.</summary>
    public string? Reason => _reason;

    /// <summary>Whether the option is refused with any value; a misspelt name should then not be corrected to it.</summary>
    public bool IsRefused => _reason is not null && _accepted is null or [];

    /// <summary>A flag.</summary>
    /// <param name="name">The name, with its hyphens.</param>
    /// <param name="refusal">Why it is refused; null: it is accepted.</param>
    public static VllmOption Flag(string name, string? refusal) => new(name, [], refusal, null) { Arity = ArgumentArity.Zero };

    /// <summary>An option with a value.</summary>
    /// <param name="name">The name, with its hyphens.</param>
    /// <param name="aliases">Its short names.</param>
    /// <param name="accepted">Values that ask for what this program does anyway; <c>*</c>: all values; <c>#</c>: numbers of 0 or
    /// more.</param>
    /// <param name="reason">Why other values are refused.</param>
    public static VllmOption Valued(string name, string[] aliases, IReadOnlyList<string> accepted, string reason) =>
        new(name, aliases, reason, accepted)
    {
        Arity = accepted.Count == 0 ? ArgumentArity.ZeroOrMore : ArgumentArity.ExactlyOne,
        AllowMultipleArgumentsPerToken = accepted.Count == 0,
    };

    /// <summary>Why the option, as the command line uses it, is refused; null if it is accepted.</summary>
    /// <param name="values">The given values.</param>
    public string? Refusal(IReadOnlyList<string> values)
    {
        if (_reason is null)
            return null;
        if (_accepted is null or [])
            return Unavailable(Name);
        return values.FirstOrDefault(value => !_accepted.Any(accepted => IsSame(value, accepted))) is { } refused
            ? $"{Name} '{refused}' is not available here: {_reason}; allowed: {string.Join(", ", _accepted.Select(value => value == Number ? "a number of 0 or more" : value))}."
            : null;
    }

    /// <summary>The message that the option is not available, and why.</summary>
    /// <param name="name">The name as the user typed it.</param>
    public string Unavailable(string name) => $"{name} is an option of vLLM's that is not available here: {_reason}; remove it.";

    // 1 and 1.0 are equal numbers, {} and { } equal objects.
    private static bool IsSame(string given, string accepted)
    {
        if (accepted == "*")
            return true;
        if (accepted == Number)
            return double.TryParse(given, NumberStyles.Float, CultureInfo.InvariantCulture, out var size) && size >= 0 && double.IsFinite(size);
        if (double.TryParse(accepted, NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
            return double.TryParse(given, NumberStyles.Float, CultureInfo.InvariantCulture, out var other) && number == other;
        return given.Replace(" ", "", StringComparison.Ordinal).Equals(accepted, StringComparison.OrdinalIgnoreCase);
    }
}
