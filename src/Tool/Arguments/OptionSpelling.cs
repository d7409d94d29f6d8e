using System.CommandLine;

namespace LocalLlm.Tool.Arguments;

/// <summary>
/// Accepts vLLM's spellings: vLLM reads <c>--max_model_len</c> as <c>--max-model-len</c>, and older versions read
/// <c>--enable-chunked-prefill False</c> as <c>--no-enable-chunked-prefill</c>.
/// </summary>
internal static class OptionSpelling
{
    /// <summary>
    /// Replaces underscores in names of known options by hyphens, and a flag with the value true or false by the flag that means
    /// it. Other values, and everything after <c>--</c>, stay unchanged.
    /// </summary>
    public static IReadOnlyList<string> Normalize(IReadOnlyList<string> args, Command root)
    {
        var options = OptionsBelow(root).ToArray();
        var known = NamesOf(options);
        var flags = NamesOf(options.Where(option => option.Arity.MaximumNumberOfValues == 0));
        var normalized = new List<string>();
        for (var i = 0; i < args.Count; i++)
        {
            if (args[i] == "--")
                return [.. normalized, .. args.Skip(i)];
            var argument = Hyphenated(args[i], known);
            var end = argument.IndexOf('=', StringComparison.Ordinal);
            var name = end < 0 ? argument : argument[..end];
            if (!flags.Contains(name))
                normalized.Add(argument);
            else if (end >= 0)
                normalized.AddRange(Boolean(argument[(end + 1)..]) is { } given ? Flag(name, given, known) : [argument]);
            // A value that is a separate argument could also be a positional one, so only a flag with an opposite takes it.
            else if (i + 1 < args.Count && known.Contains(Opposite(name)) && Boolean(args[i + 1]) is { } apart)
            {
                normalized.AddRange(Flag(name, apart, known));
                i++;
            }
            else
                normalized.Add(argument);
        }

        return normalized;
    }

    private static string Hyphenated(string argument, HashSet<string> known)
    {
        if (!argument.StartsWith("--", StringComparison.Ordinal))
            return argument;
        var end = argument.IndexOfAny(['=', ':']);
        var name = end < 0 ? argument : argument[..end];
        var hyphenated = name.Replace('_', '-');
        return known.Contains(hyphenated) ? hyphenated + argument[name.Length..] : argument;
    }

    private static bool? Boolean(string text) => bool.TryParse(text, out var value) ? value : null;

    // A flag without an opposite is switched off by leaving it out.
    private static string[] Flag(string name, bool isOn, HashSet<string> known) =>
        isOn ? [name] : known.Contains(Opposite(name)) ? [Opposite(name)] : [];

    private static string Opposite(string name) =>
        name.StartsWith("--no-", StringComparison.Ordinal) ? "--" + name[5..] : "--no-" + name.TrimStart('-');

    private static HashSet<string> NamesOf(IEnumerable<Option> options) =>
        options.SelectMany(option => option.Aliases.Append(option.Name)).ToHashSet(StringComparer.Ordinal);

    private static IEnumerable<Option> OptionsBelow(Command command) => command.Options.Concat(command.Subcommands.SelectMany(OptionsBelow));
}
