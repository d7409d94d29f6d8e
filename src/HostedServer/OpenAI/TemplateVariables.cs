using System.Text.Json;
using LocalLlm.Sampling;
using LocalLlm.Server.JsonLines;

namespace LocalLlm.Server.OpenAI;

/// <summary>The template variables of a chat: <c>chat_template_kwargs</c>, and the switches of thinking that <c>reasoning_effort</c> stands for.</summary>
internal static class TemplateVariables
{
    private static readonly JsonElement True = JsonDocument.Parse("true").RootElement;
    private static readonly JsonElement False = JsonDocument.Parse("false").RootElement;

    /// <summary>The variables, or null where there are none; faults of form are recorded.</summary>
    public static Dictionary<string, JsonElement>? Read(JsonFields fields, RequestErrors errors, ReasoningEffort? effort)
    {
        var variables = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        if (effort is not null)
        {
            // Qwen 3's switch and DeepSeek V3.1's; templates ignore what they do not know.
            variables["enable_thinking"] = variables["thinking"] = effort.Budget == 0 ? False : True;
        }

        if (fields.Json("chat_template_kwargs", JsonValueKind.Object, "an object of template variables") is { } given)
        {
            foreach (var member in given.EnumerateObject())
                variables[member.Name] = member.Value.Clone();
        }

        return variables.Count == 0 ? null : variables;
    }
}
