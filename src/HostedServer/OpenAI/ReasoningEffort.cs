using LocalLlm.Sampling;
using LocalLlm.Server.JsonLines;

namespace LocalLlm.Server.OpenAI;

/// <summary>OpenAI's <c>reasoning_effort</c>, as far as a model that thinks between tags can be held to it.</summary>
/// <param name="Name">As it was given.</param>
/// <param name="Budget">Most tokens of a thought; null: no limit.</param>
internal sealed record ReasoningEffort(string Name, int? Budget)
{
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

    /// <summary>The effort, or null where none is asked for or it is wrong (recorded).</summary>
    public static ReasoningEffort? Read(JsonFields fields, RequestErrors errors)
    {
        if (fields.Text("reasoning_effort") is not { } name)
            return null;
        if (Budgets.TryGetValue(name, out var budget))
            return new(name, budget);
        errors.Add("reasoning_effort", name, string.Join(", ", Budgets.Keys));
        return null;
    }
}
