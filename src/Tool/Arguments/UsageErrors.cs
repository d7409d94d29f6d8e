using System.CommandLine;
using System.CommandLine.Parsing;

namespace LocalLlm.Tool.Arguments;

/// <summary>Describes what is wrong with a command line, in a way that lets the next try succeed.</summary>
internal static class UsageErrors
{
    private const string UnmatchedPrefix = "Unrecognized command or argument";

    /// <summary>All errors; empty if the command may run.</summary>
    public static IReadOnlyList<string> Of(ParseResult result, IReadOnlyList<string> args)
    {
        var unknown = UnknownOptions(result, args);
        string[] refused = [.. VllmOptions.RefusalsOf(result)];
        if (unknown.Count + refused.Length > 0)
        {
            // The parser took the values of these options for something else, so its further errors would only mislead.
            var names = OptionNames(result).ToArray();
            return [.. refused, .. unknown.Select(option => Describe(option, names))];
        }

        // The parser would take the value for a separate argument.
        var valued = FlagsWithValue(result, args);
        if (valued.Count > 0)
            return valued;

        var unexpected = result.UnmatchedTokens.Select(token => DescribeArgument(token, result));
        var others = result.Errors.Select(error => error.Message).Where(message => !message.StartsWith(UnmatchedPrefix, StringComparison.Ordinal));
        return [.. unexpected, .. others.Distinct()];
    }

    /// <summary>The command as a user types it: <c>localllm bench throughput</c>.</summary>
    public static string PathOf(ParseResult result)
    {
        var names = new List<string>();
        for (SymbolResult? at = result.CommandResult; at is CommandResult command; at = at.Parent)
            names.Insert(0, command.Command is RootCommand ? "localllm" : command.Command.Name);
        return string.Join(' ', names);
    }

    private static List<string> UnknownOptions(ParseResult result, IReadOnlyList<string> args)
    {
        // A token after "--" is literal.
        var literal = args.SkipWhile(argument => argument != "--").Skip(1).ToHashSet(StringComparer.Ordinal);
        var positional = result.CommandResult.Children.OfType<ArgumentResult>().SelectMany(argument => argument.Tokens);
        var tokens = result.UnmatchedTokens.Concat(positional.Select(token => token.Value));
        return [.. tokens.Where(token => token.Length > 1 && token[0] == '-' && !literal.Contains(token)).Distinct()];
    }

    private static List<string> FlagsWithValue(ParseResult result, IReadOnlyList<string> args)
    {
        var flags = result.CommandResult.Command.Options.Where(option => option.Arity.MaximumNumberOfValues == 0).Select(option => option.Name).ToHashSet(StringComparer.Ordinal);
        var errors = new List<string>();
        foreach (var argument in args.TakeWhile(argument => argument != "--"))
        {
            var end = argument.IndexOf('=', StringComparison.Ordinal);
            var name = end < 0 ? "" : argument[..end].Replace('_', '-');
            if (flags.Contains(name))
                errors.Add($"{name} takes no value, found '{argument[(end + 1)..]}'; give {name} alone{(flags.Contains("--no-" + name[2..]) ? $", or --no-{name[2..]}" : ", or leave it out")}");
        }

        return errors;
    }

    private static string Describe(string token, string[] names)
    {
        var end = token.IndexOf('=', StringComparison.Ordinal);
        var name = (end < 0 ? token : token[..end]).Replace('_', '-');
        if (VllmOptions.RefusalOf(name) is { } refusal)
            return $"{name}: {refusal}";
        var hint = NearestName.OfOption(name, names) is { } nearest ? $"; did you mean {nearest}?" : ".";
        return VllmOptionNames.Contains(name)
            ? $"{name} is an option of vLLM's that this command does not have; remove it."
            : $"{name} is not an option of this command{hint}";
    }

    private static string DescribeArgument(string token, ParseResult result)
    {
        var commands = result.CommandResult.Command.Subcommands.Select(command => command.Name).ToArray();
        var suggestion = NearestName.Close(token, commands) is { } near ? $"; did you mean {near}?" : ".";
        return commands.Length > 0
            ? $"'{token}' is not a command{suggestion} Commands: {string.Join(", ", commands)}."
            : $"'{token}' is one argument too many; quote texts that contain spaces.";
    }

    private static IEnumerable<string> OptionNames(ParseResult result)
    {
        var names = result.CommandResult.Command.Options.Where(option => option is not VllmOption { IsRefused: true }).Select(option => option.Name);
        for (var at = result.CommandResult.Parent; at is CommandResult command; at = at.Parent)
            names = names.Concat(command.Command.Options.Where(option => option.Recursive).Select(option => option.Name));
        return names.Where(name => name.StartsWith("--", StringComparison.Ordinal)).Append("--help").Distinct();
    }
}
