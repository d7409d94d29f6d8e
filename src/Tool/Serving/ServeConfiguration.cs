using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LocalLlm.Tool.Arguments;
using Microsoft.Extensions.Configuration;

namespace LocalLlm.Tool.Serving;

/// <summary>
/// Combines flags, environment and appsettings.json into one configuration. Settings of the section <c>LocalLlm</c> that the
/// command line does not set are read as if the user had typed them, and are checked the same way.
/// </summary>
internal static class ServeConfiguration
{
    private const string Section = "LocalLlm";
    private const string SpeculativeConfig = "--speculative-config";
    private const string BalancingConfig = "--eplb-config";

    // Options with vLLM's names whose value is an object; the command line takes it as JSON.
    private static readonly string[] ObjectOptions = [SpeculativeConfig, BalancingConfig];

    // AddLocalLlm's names for options, so that one file serves both.
    private static readonly Dictionary<string, string> OtherNames = new(StringComparer.OrdinalIgnoreCase)
    {
        ["ModelPath"] = "--model",
        ["ModelId"] = "--served-model-name",
        ["TensorParallel"] = "--tensor-parallel-size",
        ["PipelineParallel"] = "--pipeline-parallel-size",
        ["DataParallel"] = "--data-parallel-size",
        ["MaxModelLength"] = "--max-model-len",
        ["MaxBatchSize"] = "--max-num-seqs",
        ["Speculation"] = SpeculativeConfig,
        ["ExpertBalancing"] = BalancingConfig,
    };

    /// <summary>The configuration of this process: appsettings.json of the current folder, then the environment.</summary>
    public static IConfiguration OfProcess() => new ConfigurationBuilder()
        .SetBasePath(Directory.GetCurrentDirectory())
        .AddJsonFile("appsettings.json", optional: true)
        .AddEnvironmentVariables()
        .Build();

    /// <summary>Appends the settings of the configuration to the arguments.</summary>
    /// <param name="args">The arguments as typed.</param>
    /// <param name="typed">The parsed arguments, of the command <c>serve</c>.</param>
    /// <param name="configuration">The source of the other settings.</param>
    /// <exception cref="UsageException">A name in the section is not an option, or one object has two names.</exception>
    public static IReadOnlyList<string> Complete(IReadOnlyList<string> args, ParseResult typed, IConfiguration configuration)
    {
        var options = typed.CommandResult.Command.Options;
        var given = options.Where(option => typed.GetResult(option) is { Implicit: false }).Select(option => option.Name).ToHashSet(StringComparer.Ordinal);
        if (typed.CommandResult.Children.OfType<System.CommandLine.Parsing.ArgumentResult>().Any(argument => argument.Tokens.Count > 0))
            given.Add("--model");
        var added = new List<string>();
        var objects = new Dictionary<string, string>(); // the keys of the objects, by option
        foreach (var entry in configuration.GetSection(Section).GetChildren())
        {
            var name = OtherNames.GetValueOrDefault(entry.Key) ?? "--" + Hyphenated(entry.Key);
            // Subsections: the server's options for other hosts, and further engines.
            if (!ObjectOptions.Contains(name) && entry.Value is null && entry.GetChildren().Any(child => !int.TryParse(child.Key, NumberStyles.None, CultureInfo.InvariantCulture, out _)))
                continue;
            if (options.FirstOrDefault(option => option.Name == name) is not { } option)
            {
                var nearest = NearestName.OfOption(name, options.Where(known => known is not VllmOption { IsRefused: true }).Select(known => known.Name));
                throw new UsageException($"the configuration's {Section}:{entry.Key} is no option of serve{(nearest is null ? "; remove it" : $"; did you mean {nearest}?")}");
            }

            if (ObjectOptions.Contains(name) && !objects.TryAdd(name, entry.Key))
                throw GivenTwice(objects[name], entry.Key, name);

            if (!given.Contains(name) && !given.Contains("--no-" + name[2..]))
                added.AddRange(Arguments(option, entry, options));
        }

        if (!given.Contains("--api-key") && !added.Contains("--api-key") && (configuration["LOCALLLM_API_KEY"] ?? configuration["VLLM_API_KEY"]) is { Length: > 0 } key)
            added.AddRange(["--api-key", key]);
        return [.. args.TakeWhile(argument => argument != "--"), .. added, .. args.SkipWhile(argument => argument != "--")];
    }

    private static IEnumerable<string> Arguments(Option option, IConfigurationSection entry, IList<Option> options)
    {
        if (ObjectOptions.Contains(option.Name))
            return [option.Name, entry.Value ?? JsonOf(entry)];
        if (ServerArguments.IsList(option))
            return [option.Name, entry.Value is { } text && text.StartsWith('[') ? text : JsonSerializer.Serialize(Texts(entry))];
        if (option.Arity.MaximumNumberOfValues > 0)
            return Texts(entry).SelectMany(value => (string[])[option.Name, value]);
        if (!bool.TryParse(entry.Value, out var on))
            throw new UsageException($"the configuration's {Section}:{entry.Key} is '{entry.Value}'; allowed: true or false");
        var opposite = "--no-" + option.Name[2..];
        return on ? [option.Name] : options.Any(known => known.Name == opposite) ? [opposite] : [];
    }

    // An object of texts and whole numbers with vLLM's names; the option refuses everything else.
    private static string JsonOf(IConfigurationSection entry)
    {
        var values = new Dictionary<string, object>();
        var keys = new Dictionary<string, string>();
        foreach (var child in entry.GetChildren())
        {
            var name = Hyphenated(child.Key).Replace('-', '_');
            if (!keys.TryAdd(name, child.Key))
                throw GivenTwice($"{entry.Key}:{keys[name]}", $"{entry.Key}:{child.Key}", name);
            values[name] = int.TryParse(child.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : child.Value ?? "";
        }

        return JsonSerializer.Serialize(values);
    }

    private static UsageException GivenTwice(string first, string second, string name) =>
        new($"the configuration's {Section}:{first} and {Section}:{second} are both {name}; remove one of them");

    private static string[] Texts(IConfigurationSection entry) =>
        entry.Value is { } value ? [value] : [.. entry.GetChildren().Select(child => child.Value ?? "")];

    // MaxModelLen, maxModelLen, max_model_len, MAX_MODEL_LEN → max-model-len.
    private static string Hyphenated(string key)
    {
        if (key.All(character => !char.IsLower(character)))
            return key.Replace('_', '-').ToLowerInvariant();
        var words = key.Replace('_', '-').Select((character, index) => char.IsUpper(character) && index > 0 && key[index - 1] is not ('_' or '-') ? $"-{char.ToLowerInvariant(character)}" : $"{char.ToLowerInvariant(character)}");
        return string.Concat(words);
    }
}
