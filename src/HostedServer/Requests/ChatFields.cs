using System.Text.Json;
using LocalLlm.Sampling;
using LocalLlm.Server.JsonLines;
using LocalLlm.Templating;

namespace LocalLlm.Server.Requests;

/// <summary>The fields of a line that make a chat: <c>messages</c> and what goes with them.</summary>
internal static class ChatFields
{
    /// <summary>Their names, <c>messages</c> apart.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["tools", "documents", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"];

    /// <summary>The chat, or null where there are no messages; faults of form are recorded. What it holds outlives the line's document.</summary>
    public static ChatTemplateRequest? Read(JsonFields fields, RequestErrors errors)
    {
        var messages = fields.Json("messages", JsonValueKind.Array, "a list of messages");
        var tools = fields.Json("tools", JsonValueKind.Array, "a list of tools");
        var documents = fields.Json("documents", JsonValueKind.Array, "a list of documents");
        var addGenerationPrompt = fields.Boolean("add_generation_prompt");
        var continueFinalMessage = fields.Boolean("continue_final_message") ?? false;
        var kwargs = fields.Json("chat_template_kwargs", JsonValueKind.Object, "an object of template variables");
        if (fields.Take("messages") is null)
        {
            foreach (var name in Names.Where(name => fields.Take(name) is not null))
                errors.Add(name, "a field of chats", "only together with messages");
        }
        else if (fields.Take("add_special_tokens") is { ValueKind: JsonValueKind.True })
        {
            errors.Add("add_special_tokens", "true", "false in a chat: its template writes the special tokens");
        }

        return messages is not { } chat ? null : new()
        {
            Messages = chat.Clone(),
            Tools = tools?.Clone(),
            Documents = documents?.Clone(),
            AddGenerationPrompt = addGenerationPrompt ?? !continueFinalMessage,
            ContinueFinalMessage = continueFinalMessage,
            ChatTemplateKwargs = kwargs is { } variables ? Variables(variables, errors) : null,
        };
    }

    private static Dictionary<string, JsonElement> Variables(JsonElement kwargs, RequestErrors errors)
    {
        var variables = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        var fields = new JsonFields(kwargs, errors);
        foreach (var name in fields.Names)
            variables[name] = kwargs.GetProperty(name).Clone();
        return variables;
    }
}
