using System.CommandLine;

namespace LocalLlm.Server.Arguments;

/// <summary>vLLM reads <c>--max_model_len</c> as <c>--max-model-len</c>, so this program does too.</summary>
internal static class OptionSpelling
{
    /// <summary>The arguments with underscores in names of known options replaced by hyphens; values and whatever follows <c>--</c> stay.</summary>
    public static IReadOnlyList<string> Normalize(IReadOnlyList<string> args, Command root)
    {
        var known = NamesBelow(root).ToHashSet(StringComparer.Ordinal);
        var literal = false;
        return [.. args.Select(Normalized)];

        string Normalized(string argument)
        {
            literal |= argument == "--";
            if (literal || !argument.StartsWith("--", StringComparison.Ordinal))
                return argument;
            var end = argument.IndexOfAny(['=', ':']);
            var name = end < 0 ? argument : argument[..end];
            var hyphenated = name.Replace('_', '-');
            return known.Contains(hyphenated) ? hyphenated + argument[name.Length..] : argument;
        }
    }

    private static IEnumerable<string> NamesBelow(Command command) =>
        command.Options.SelectMany(option => option.Aliases.Append(option.Name)).Concat(command.Subcommands.SelectMany(NamesBelow));
}
