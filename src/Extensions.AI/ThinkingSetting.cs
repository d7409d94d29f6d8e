using System.Text.Json;
using LocalLlm.Sampling;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Whether and how long a model may think, under every name that clients have for it: OpenAI's <c>reasoning_effort</c>, DeepSeek's
/// <c>thinking: {"type": …}</c> (with Anthropic's <c>budget_tokens</c>), and Qwen's <c>enable_thinking</c>.
/// </summary>
/// <param name="Enabled">Whether it may think.</param>
/// <param name="Budget">Most tokens of a thought; null: no limit. A wish: a model without thoughts has none to limit.</param>
internal sealed record ThinkingSetting(bool Enabled, int? Budget)
{
    private const string Effort = "reasoning_effort";
    private const string Thinking = "thinking";
    private const string EnableThinking = "enable_thinking";

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
    public static IReadOnlyList<string> Fields { get; } = [Effort, Thinking, EnableThinking];

    /// <summary>What an effort stands for; null: there is no such effort.</summary>
    public static ThinkingSetting? OfEffort(string effort) => Budgets.TryGetValue(effort, out var budget) ? new(budget != 0, budget) : null;

    /// <summary>What the fields of a request ask for; null: nothing. Wrong values and contradictions are recorded.</summary>
    public static ThinkingSetting? Read(JsonFields fields, RequestErrors errors)
    {
        var named = Named(fields, errors);
        var own = fields.Take(Thinking) is { } given ? OfThinking(given, errors) : null;
        var flag = fields.Boolean(EnableThinking) is { } enabled ? new ThinkingSetting(enabled, enabled ? null : 0) : null;
        ThinkingSetting[] all = [.. new[] { named, own, flag }.OfType<ThinkingSetting>()];
        if (all.Length == 0)
            return null;
        if (all.Any(setting => setting.Enabled != all[0].Enabled))
            errors.Add(own is null ? EnableThinking : Thinking, "the opposite of " + (named is null ? EnableThinking : Effort), $"{string.Join(", ", Fields)} that agree; one of them is enough");
        return new(all[0].Enabled, own?.Budget ?? named?.Budget ?? flag?.Budget);
    }

    /// <summary>Sets the switches of chat templates: Qwen 3's and DeepSeek V3.1's; templates ignore what they do not know.</summary>
    public void AddTo(IDictionary<string, JsonElement> variables) => variables[EnableThinking] = variables[Thinking] = Enabled ? True : False;

    /// <summary>Sampling with a budget that was wished for, where the model can be held to one and none is given.</summary>
    public static SamplingParams Limit(SamplingParams sampling, int? wishedBudget, LlmEngine engine) =>
        sampling.ThinkingTokenBudget is null && engine.CanEndThoughts ? sampling with { ThinkingTokenBudget = wishedBudget } : sampling;

    private static ThinkingSetting? Named(JsonFields fields, RequestErrors errors)
    {
        if (fields.Take(Effort) is not { } given)
            return null;
        if (given.ValueKind != JsonValueKind.String)
        {
            fields.Refuse(Effort, given, "a string");
            return null;
        }

        var name = given.GetString()!;
        if (OfEffort(name) is { } setting)
            return setting;
        errors.Add(Effort, name, string.Join(", ", Budgets.Keys));
        return null;
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
