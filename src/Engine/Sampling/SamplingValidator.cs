using LocalLlm.Grammars;
using LocalLlm.Requests;

namespace LocalLlm.Sampling;

/// <summary>
/// The one way from untrusted <see cref="SamplingParams"/> to <see cref="ValidatedSampling"/>. It resolves request →
/// generation_config.json → vLLM's default, checks every rule of vLLM's table, and reports all faults in one exception. It allocates
/// nothing whose size is a number from the request.
/// </summary>
internal static class SamplingValidator
{
    /// <summary>Validates one request.</summary>
    /// <exception cref="EngineException">
    /// <see cref="EngineErrorKind.InvalidRequest"/> listing every fault, or <see cref="EngineErrorKind.ContextLengthExceeded"/> if the
    /// only fault is a prompt that leaves no room for a token.
    /// </exception>
    public static ValidatedSampling Validate(SamplingParams request, SamplingContext context) => Validate(request, context, out _);

    /// <inheritdoc cref="Validate(SamplingParams, SamplingContext)"/>
    /// <param name="request">The parameters.</param>
    /// <param name="context">What to validate against.</param>
    /// <param name="grammar">
    /// The grammar, compiled to check that it can be. Holding it keeps it in the compiler's cache.
    /// </param>
    public static ValidatedSampling Validate(SamplingParams request, SamplingContext context, out CompiledGrammar? grammar)
    {
        ArgumentNullException.ThrowIfNull(request);
        var errors = new RequestErrors();
        var defaults = context.ModelDefaults;

        var temperature = Checked(
            "temperature", request.Temperature ?? defaults.Temperature ?? 1, SamplingRules.IsTemperature, SamplingRules.TemperatureRange, errors);
        var topP = Checked("top_p", request.TopP ?? defaults.TopP ?? 1, SamplingRules.IsTopP, SamplingRules.TopPRange, errors);
        var topK = request.TopK ?? defaults.TopK ?? 0;
        if (!SamplingRules.IsTopK(topK))
            errors.Add("top_k", topK, SamplingRules.TopKRange);
        var minP = Checked("min_p", request.MinP ?? defaults.MinP ?? 0, SamplingRules.IsMinP, SamplingRules.MinPRange, errors);
        var repetition = Checked(
            "repetition_penalty",
            request.RepetitionPenalty ?? defaults.RepetitionPenalty ?? 1,
            SamplingRules.IsRepetitionPenalty,
            SamplingRules.RepetitionPenaltyRange,
            errors);
        var presence = Checked("presence_penalty", request.PresencePenalty, SamplingRules.IsPenalty, SamplingRules.PenaltyRange, errors);
        var frequency = Checked("frequency_penalty", request.FrequencyPenalty, SamplingRules.IsPenalty, SamplingRules.PenaltyRange, errors);

        // vLLM raises a small temperature before it checks for greedy: only 0 itself is greedy.
        if (temperature is > 0 and < SamplingRules.MinTemperature)
            temperature = SamplingRules.MinTemperature;
        var greedy = temperature == 0;
        if (request.N < 1 || request.N > context.MaxSequences)
            errors.Add("n", request.N, $"1 to {context.MaxSequences}");
        else if (greedy && request.N > 1)
            errors.Add("n", request.N, "1 with temperature 0, as greedy sequences are all the same: raise temperature or set n to 1");

        // Check the output's length last: a prompt that is too long has an error kind of its own, used only if nothing else is wrong.
        var stop = Stop(request, context, errors);
        var ids = new TokenIdRules(context.VocabularySize, errors);
        var stopTokenIds = ids.Set("stop_token_ids", request.StopTokenIds);
        var allowed = ids.Allowed(request.AllowedTokenIds);
        var (biasIds, biases) = ids.Biases(request.LogitBias);
        var badWords = BadWords.Tokenize(request.BadWords, context, errors);
        var logprobs = Logprobs("logprobs", request.Logprobs, context, errors);
        var promptLogprobs = Logprobs("prompt_logprobs", request.PromptLogprobs, context, errors);
        var eos = context.EosTokenIds.Where(id => (uint)id < (uint)context.VocabularySize).ToHashSet();
        var banned = request.MinTokens > 0 ? eos.Union(stopTokenIds).Order().ToArray() : [];
        if (allowed is { Length: > 0 } && banned.Length > 0 && allowed.All(id => Array.BinarySearch(banned, id) >= 0))
            errors.Add("allowed_token_ids", "end and stop tokens only", "at least one other token while min_tokens is above 0");
        var thinkingBudget = request.ThinkingTokenBudget == -1 ? null : request.ThinkingTokenBudget;
        if (thinkingBudget < 0)
            errors.Add("thinking_token_budget", thinkingBudget.Value, "0 or more, or -1 for no limit");
        else if (thinkingBudget is { } budget && context.Thinking is null)
            errors.Add("thinking_token_budget", budget, "nothing: this model's tokenizer has no tokens <think> and </think>; leave it out");
        (var responseGrammar, grammar) = Grammar(request.StructuredOutputs, context, errors);
        var maxTokens = OutputLimits.Resolve(request, context, errors);

        errors.ThrowIfAny();
        OutputLimits.CheckRoom(context);
        if (context.MustFit)
            OutputLimits.CheckAllFit(request, context);
        return new ValidatedSampling
        {
            N = request.N,
            PresencePenalty = (float)presence,
            FrequencyPenalty = (float)frequency,
            RepetitionPenalty = (float)repetition,
            Temperature = greedy ? 0 : temperature,
            TopP = greedy ? 1 : topP,
            TopK = greedy || topK < 1 || topK >= context.VocabularySize ? 0 : topK,
            MinP = greedy ? 0 : minP,
            Seed = request.Seed == -1 ? null : request.Seed,
            Stop = stop,
            StopTokenIds = [.. stopTokenIds.Order()],
            EosTokenIds = [.. eos.Order()],
            IncludeStopStrInOutput = request.IncludeStopStrInOutput,
            IgnoreEos = request.IgnoreEos,
            MaxTokens = maxTokens,
            MinTokens = request.MinTokens,
            MinTokensBanned = banned,
            Logprobs = logprobs,
            PromptLogprobs = promptLogprobs,
            Detokenize = request.Detokenize && context.HasTokenizer,
            SkipSpecialTokens = request.SkipSpecialTokens,
            SpacesBetweenSpecialTokens = request.SpacesBetweenSpecialTokens,
            LogitBiasTokenIds = biasIds,
            LogitBiases = biases,
            AllowedTokenIds = allowed,
            BadWordsTokenIds = badWords,
            ThinkingTokenBudget = thinkingBudget,
            Thinking = context.Thinking,
            IsChat = context.IsChat,
            Grammar = responseGrammar,
            SkipReadingPrefixCache = request.SkipReadingPrefixCache,
        };
    }

    private static string GrammarField(StructuredOutputs? structure) => structure?.Field ?? "tools";

    private static string[] Kinds(StructuredOutputs structure) =>
    [
        .. structure.Json is null ? Array.Empty<string>() : ["json"],
        .. structure.Choice is null ? Array.Empty<string>() : ["choice"],
        .. structure.Regex is null ? Array.Empty<string>() : ["regex"],
        .. structure.Grammar is null ? Array.Empty<string>() : ["grammar"],
        .. structure.JsonObject ? ["json_object"] : Array.Empty<string>(),
    ];

    private static string Noun(StructuredOutputs? structure) => structure switch
    {
        null => "the list of tools",
        { Json: not null } => "the schema",
        { Choice: not null } => "the list of choices",
        { Regex: not null } => "the pattern",
        { Grammar: not null } => "the grammar",
        _ => "the structure",
    };

    private static (ResponseGrammar?, CompiledGrammar?) Grammar(StructuredOutputs? structure, SamplingContext context, RequestErrors errors)
    {
        // Tool calls may take the place of the response's structure.
        var tools = context.Tools is { } given && (given.IsNeeded || structure is not null) ? given : null;
        if (structure is null && tools is null)
            return default;
        var field = GrammarField(structure);
        if (context.Grammars is not { } grammars)
        {
            errors.Add(field, "a structure", "nothing while the engine runs without a tokenizer");
            return default;
        }

        if (structure is not null && Kinds(structure) is { Length: not 1 } kinds)
        {
            errors.Add(
                field, kinds.Length == 0 ? "no structure" : string.Join(" and ", kinds), "exactly one of json, choice, regex, grammar and json_object");
            return default;
        }

        try
        {
            var compiled = grammars.Compile(structure, tools);
            return (new(compiled.Source, field), compiled);
        }
        catch (GrammarException malformed)
        {
            // "#" is the whole schema.
            var reason = malformed.Message.StartsWith("#: ", StringComparison.Ordinal) ? malformed.Message[3..] : malformed.Message;
            errors.AddUnusable(field, Noun(structure), reason);
            return default;
        }
    }

    private static double Checked(string field, double value, Func<double, bool> isAllowed, string allowed, RequestErrors errors)
    {
        if (!isAllowed(value))
            errors.Add(field, value, allowed);
        return value;
    }

    private static string[] Stop(SamplingParams request, SamplingContext context, RequestErrors errors)
    {
        var given = request.Stop;
        if (given is null || given.Count == 0)
            return [];
        if (given.Count > SamplingRules.MaxStopStrings)
        {
            errors.Add("stop", $"{given.Count} strings", $"at most {SamplingRules.MaxStopStrings}");
            return [];
        }

        if (!context.HasTokenizer)
            errors.Add("stop", "strings, but the engine runs without a tokenizer", "no stop: use stop_token_ids");
        else if (!request.Detokenize)
            errors.Add("stop", "strings with detokenize: false", "strings only with detokenize: true, as they are searched in the text");
        foreach (var text in given)
        {
            if (string.IsNullOrEmpty(text))
                errors.Add("stop", "an empty string", "strings of at least one character");
            else if (text.Length > SamplingRules.MaxStopStringLength)
                errors.Add("stop", $"a string of {text.Length} characters", $"at most {SamplingRules.MaxStopStringLength}");
        }

        return [.. given];
    }

    /// <summary>-1 asks for all: it becomes the vocabulary's size, which the limit must allow.</summary>
    private static int? Logprobs(string field, int? given, SamplingContext context, RequestErrors errors)
    {
        if (given is not { } count)
            return null;
        var most = context.MaxLogprobs < 0 ? context.VocabularySize : Math.Min(context.MaxLogprobs, context.VocabularySize);
        if (count == -1 && most == context.VocabularySize)
            return context.VocabularySize;
        if (count < 0 || count > most)
            errors.Add(field, count, $"0 to {most}" + (most == context.VocabularySize ? ", or -1 for all" : " (the engine's max_logprobs)"));
        return count;
    }
}
