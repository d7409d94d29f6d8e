using System.CommandLine;

namespace LocalLlm.Tool.Arguments;

/// <summary>The sampling options of the terminal commands, with the names that requests use.</summary>
internal sealed class SamplingArguments
{
    private readonly Option<double?> _temperature = Options.Number("--temperature", "0 is greedy; default: the model's.");
    private readonly Option<double?> _topP = Options.Number("--top-p", "Nucleus sampling, above 0, at most 1.");
    private readonly Option<int?> _topK = Options.Count("--top-k", "Only the k most likely tokens; 0 or -1 is off.");
    private readonly Option<double?> _minP = Options.Number("--min-p", "Drops tokens less likely than this share of the most likely one.");
    private readonly Option<double?> _repetitionPenalty = Options.Number(
        "--repetition-penalty",
        "Above 1: fewer repetitions of prompt and output.");
    private readonly Option<double?> _presencePenalty = Options.Number("--presence-penalty", "-2 to 2.");
    private readonly Option<double?> _frequencyPenalty = Options.Number("--frequency-penalty", "-2 to 2.");
    private readonly Option<int?> _maxTokens = Options.Count("--max-tokens", "Most tokens to generate.");
    private readonly Option<string[]> _stop = new("--stop")
    {
        Description = "A text that ends the output; may be given several times.",
        HelpName = "TEXT",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<bool> _ignoreEos = Options.Flag("--ignore-eos", "Goes on after an end-of-sequence token.");

    private Option[] All =>
        [_temperature, _topP, _topK, _minP, _repetitionPenalty, _presencePenalty, _frequencyPenalty, _maxTokens, _stop, _ignoreEos];

    /// <summary>Adds every option to <paramref name="command"/>.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in All)
            command.Add(option);
    }

    /// <summary>The names of the options that were given.</summary>
    public IReadOnlyList<string> Given(ParseResult result) =>
        [.. All.Where(option => result.GetResult(option) is { Implicit: false }).Select(option => option.Name)];

    /// <summary>The parameters. Ranges that do not depend on a model are checked here, before a model is loaded.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="defaultMaxTokens">Max tokens if the command line does not say; null: to the end of the context in a chat.</param>
    /// <exception cref="UsageException">A value is out of range.</exception>
    public SamplingParams Build(ParseResult result, int? defaultMaxTokens) => Checked(new()
    {
        Temperature = result.GetValue(_temperature),
        TopP = result.GetValue(_topP),
        TopK = result.GetValue(_topK),
        MinP = result.GetValue(_minP),
        RepetitionPenalty = result.GetValue(_repetitionPenalty),
        PresencePenalty = result.GetValue(_presencePenalty) ?? 0,
        FrequencyPenalty = result.GetValue(_frequencyPenalty) ?? 0,
        MaxTokens = result.GetValue(_maxTokens) ?? defaultMaxTokens,
        Stop = result.GetValue(_stop) ?? [],
        IgnoreEos = result.GetValue(_ignoreEos),
    });

    /// <summary>Checks that the parameters are valid for at least some model, and returns them.</summary>
    /// <exception cref="UsageException">A value is out of range.</exception>
    public static SamplingParams Checked(SamplingParams sampling)
    {
        try
        {
            sampling.Validate();
            return sampling;
        }
        catch (EngineException refusal)
        {
            throw new UsageException(refusal.Message);
        }
    }
}
