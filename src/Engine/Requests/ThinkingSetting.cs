using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>
/// Whether and how long a model may think, under every name that clients use: OpenAI's <c>reasoning_effort</c>, DeepSeek's
/// <c>thinking: {"type": …}</c> (with Anthropic's <c>budget_tokens</c>), Qwen's <c>enable_thinking</c> and <c>thinking_budget</c>,
/// OpenRouter's <c>reasoning: {"effort", "enabled", "max_tokens", "exclude"}</c>, and Ollama's <c>think</c>.
/// </summary>
/// <param name="Enabled">Whether the model may think.</param>
/// <param name="Budget">Maximum number of tokens of a thought; null: no limit. Without effect for a model that does not think.</param>
public sealed record ThinkingSetting(bool Enabled, int? Budget)
{
    private const string Effort = "reasoning_effort";
    private const string Thinking = "thinking";
    private const string EnableThinking = "enable_thinking";
    private const string BudgetField = "thinking_budget";
    private const string Reasoning = "reasoning";
    private const string Think = "think";
    private const string Include = "include_reasoning";
    private const string Exclude = "exclude";

    private static readonly JsonElement True = JsonSerializer.SerializeToElement(true);
    private static readonly JsonElement False = JsonSerializer.SerializeToElement(false);

    private static readonly Dictionary<string, int?> Budgets = new(StringComparer.Ordinal)
    {
        ["none"] = 0,
        ["minimal"] = 512,
        ["low"] = 1024,
        ["medium"] = 4096,
        ["high"] = 16384,
        ["xhigh"] = null,
        ["max"] = null,
    };

    /// <summary>The fields that <see cref="Read"/> reads.</summary>
    public static IReadOnlyList<string> Fields { get; } = [Effort, Thinking, EnableThinking, BudgetField, Reasoning, Think, Include];

    /// <summary>The setting that an effort stands for; null: unknown effort.</summary>
    public static ThinkingSetting? OfEffort(string effort) => Budgets.TryGetValue(effort, out var budget) ? new(budget != 0, budget) : null;

    /// <summary>The setting that a request's fields ask for; null: none. Records wrong values and contradictions.</summary>
    public static ThinkingSetting? Read(JsonFields fields, RequestErrors errors)
    {
        var flag = fields.Boolean(EnableThinking) is { } enabled ? Switch(enabled) : null;
        var given = new List<(string Name, ThinkingSetting Setting)>();
        Add(Effort, fields.Take(Effort) is { } effort ? OfName(Effort, effort, fields, errors) : null);
        Add(Reasoning, fields.Take(Reasoning) is { } reasoning ? OfReasoning(reasoning, fields, errors) : null);
        Add(Think, fields.Take(Think) is { } think ? OfThink(think, fields, errors) : null);
        Add(EnableThinking, flag);
        Add(Thinking, fields.Take(Thinking) is { } thinking ? OfThinking(thinking, errors) : null);
        // A budget alone does not enable thinking: Qwen's clients also send it with enable_thinking: false.
        var limit = fields.Integer(BudgetField, -1, int.MaxValue) is { } tokens ? (int?)tokens : null;
        if (given.Count == 0)
            return limit is null ? null : new(limit != 0, limit < 0 ? null : limit);
        if (given.FirstOrDefault(one => one.Setting.Enabled != given[0].Setting.Enabled) is { Name: { } opposite })
        {
            var switches = string.Join(", ", Fields.Except([BudgetField, Include]));
            errors.Add(opposite, "the opposite of " + given[0].Name, switches + " that agree; one of them is enough");
        }

        var isEnabled = given[0].Setting.Enabled;
        var wished = Enumerable.Reverse(given).Select(one => one.Setting.Budget).FirstOrDefault(budget => budget is not null);
        return new(isEnabled, isEnabled && limit >= 0 ? (int)limit : wished);

        void Add(string name, ThinkingSetting? setting)
        {
            if (setting is not null)
                given.Add((name, setting));
        }
    }

    /// <summary>Whether to send thoughts: <c>include_reasoning</c>, or <c>reasoning.exclude</c>. Records a contradiction.</summary>
    public static bool IncludesThoughts(JsonFields fields, RequestErrors errors)
    {
        var included = fields.Boolean(Include);
        var excluded = Excluded(fields);
        if (included is not null && included == excluded)
            errors.Add($"{Reasoning}.{Exclude}", excluded.Value ? "true" : "false", $"the opposite of {Include}; one of them is enough");
        return included ?? excluded != true;
    }

    /// <summary>Refuses to leave out thoughts where they are part of the text.</summary>
    public static void RefuseExclusion(JsonFields fields, RequestErrors errors)
    {
        if (fields.Boolean(Include) == false)
            errors.AddUnsupported(Include, "false", "true: here a thought is part of what is returned");
        if (Excluded(fields) == true)
            errors.AddUnsupported($"{Reasoning}.{Exclude}", "true", "false: here a thought is part of what is returned");
    }

    /// <summary>
    /// Sets the switches of Qwen 3's and DeepSeek V3.1's chat templates; templates ignore variables that they do not know.
    /// </summary>
    public void AddTo(IDictionary<string, JsonElement> variables) => variables[EnableThinking] = variables[Thinking] = Enabled ? True : False;

    /// <summary>Applies a wished budget if the engine can enforce one and the request sets none.</summary>
    /// <param name="sampling">The request's sampling parameters.</param>
    /// <param name="wishedBudget">Maximum number of tokens of a thought; null: no wish.</param>
    /// <param name="canEndThoughts">Whether the engine can enforce a budget: <see cref="LlmEngine.CanEndThoughts"/>.</param>
    public static SamplingParams Limit(SamplingParams sampling, int? wishedBudget, bool canEndThoughts) =>
        sampling.ThinkingTokenBudget is null && canEndThoughts ? sampling with { ThinkingTokenBudget = wishedBudget } : sampling;

    private static ThinkingSetting Switch(bool enabled) => new(enabled, enabled ? null : 0);

    private static bool? Excluded(JsonFields fields) =>
        fields.Take(Reasoning) is { ValueKind: JsonValueKind.Object } reasoning && reasoning.TryGetProperty(Exclude, out var value)
        && value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : null;

    private static ThinkingSetting? OfName(string field, JsonElement given, JsonFields fields, RequestErrors errors)
    {
        if (given.ValueKind != JsonValueKind.String)
        {
            fields.Refuse(field, given, "a string");
            return null;
        }

        var name = given.GetString()!;
        if (OfEffort(name) is { } setting)
            return setting;
        errors.Add(field, name, string.Join(", ", Budgets.Keys));
        return null;
    }

    private static ThinkingSetting? OfThink(JsonElement given, JsonFields fields, RequestErrors errors)
    {
        if (given.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return Switch(given.GetBoolean());
        if (given.ValueKind == JsonValueKind.String)
            return OfName(Think, given, fields, errors);
        fields.Refuse(Think, given, $"true, false, {string.Join(", ", Budgets.Keys)}");
        return null;
    }

    private static ThinkingSetting? OfReasoning(JsonElement given, JsonFields fields, RequestErrors errors)
    {
        const string allowed = "effort (a name), enabled (true or false), max_tokens (a whole number from 0) and exclude (true or false)";
        if (given.ValueKind != JsonValueKind.Object)
        {
            fields.Refuse(Reasoning, given, "an object with " + allowed);
            return null;
        }

        bool? enabled = null;
        int? limit = null;
        ThinkingSetting? effort = null;
        foreach (var member in given.EnumerateObject().Where(member => member.Value.ValueKind != JsonValueKind.Null))
        {
            var isFlag = member.Value.ValueKind is JsonValueKind.True or JsonValueKind.False;
            switch (member.Name)
            {
                case "effort":
                    effort = OfName($"{Reasoning}.effort", member.Value, fields, errors);
                    break;
                case "enabled" when isFlag:
                    enabled = member.Value.GetBoolean();
                    break;
                case Exclude when isFlag:
                    break;
                case "max_tokens" when member.Value.ValueKind == JsonValueKind.Number
                    && member.Value.TryGetInt32(out var tokens) && tokens >= 0:
                    limit = tokens;
                    break;
                default:
                    errors.Add($"{Reasoning}.{member.Name}", member.Value.GetRawText(), allowed + "; nothing else is supported");
                    break;
            }
        }

        if (limit is not null && effort is not null)
            errors.Add($"{Reasoning}.max_tokens", limit.Value, "one of effort and max_tokens");
        if (enabled is { } flag && ((effort is not null && effort.Enabled != flag) || (!flag && limit > 0)))
            errors.Add($"{Reasoning}.enabled", flag ? "true" : "false", "what effort or max_tokens says; one of them is enough");
        if (effort is not null)
            return effort;
        return enabled == false ? Switch(false) : enabled == true || limit is not null ? new(limit != 0 || enabled == true, limit) : null;
    }

    private static ThinkingSetting? OfThinking(JsonElement given, RequestErrors errors)
    {
        const string allowed = "{\"type\": \"enabled\"}, {\"type\": \"disabled\"} or {\"type\": \"auto\"}; enabled may have budget_tokens";
        if (given.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return given.GetBoolean() ? new(true, null) : new(false, 0);
        if (given.ValueKind != JsonValueKind.Object)
        {
            errors.Add(Thinking, given.ValueKind.ToString().ToLowerInvariant(), allowed);
            return null;
        }

        int? budget = null;
        foreach (var member in given.EnumerateObject())
        {
            if (member.NameEquals("budget_tokens") && member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetInt32(out var tokens) && tokens >= 0)
                budget = tokens;
            else if (!member.NameEquals("type") && member.Value.ValueKind != JsonValueKind.Null)
                errors.Add($"{Thinking}.{member.Name}", member.Value.GetRawText(), "budget_tokens (a whole number from 0) beside type; nothing else is supported");
        }

        var type = given.TryGetProperty("type", out var kind) && kind.ValueKind == JsonValueKind.String ? kind.GetString() : null;
        if (budget is not null && type is ("disabled" or "auto"))
            errors.Add($"{Thinking}.budget_tokens", budget.Value, "only together with type: enabled");
        switch (type)
        {
            case "enabled":
                return new(true, budget);
            case "disabled":
                return new(false, 0);
            case "auto":
                return null;
            default:
                errors.Add($"{Thinking}.type", type ?? "nothing", allowed);
                return null;
        }
    }
}
