using System.CommandLine;

namespace LocalLlm.Tool.Arguments;

/// <summary>vLLM's pair of flags, <c>--NAME</c> and <c>--no-NAME</c>.</summary>
internal sealed class Switch(string name, string description)
{
    /// <summary>The flag that switches it on.</summary>
    public Option<bool> On { get; } = Options.Flag("--" + name, description);

    /// <summary>The flag that switches it off.</summary>
    public Option<bool> Off { get; } = Options.Flag("--no-" + name, "The opposite.");

    /// <summary>True, false, or null if neither was given.</summary>
    /// <exception cref="UsageException">Both were given.</exception>
    public bool? Value(ParseResult result) => (result.GetValue(On), result.GetValue(Off)) switch
    {
        (true, true) => throw new UsageException($"--{name} and --no-{name} contradict each other; give one of them"),
        (true, _) => true,
        (_, true) => false,
        _ => null,
    };
}
