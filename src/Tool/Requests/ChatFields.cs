using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Templating;

namespace LocalLlm.Tool.Requests;

/// <summary>The fields of a line that form a chat: <c>messages</c> and the fields that go with them.</summary>
internal static class ChatFields
{
    /// <summary>The names of these fields, except <c>messages</c>.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["tools", "tool_choice", "documents", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"];

    /// <summary>
    /// The chat, or null if there are no messages; malformed fields are recorded as errors. The result outlives the line's document.
    /// </summary>
    /// <param name="fields">The line.</param>
    /// <param name="thinking">The line's setting of thinking, or null.</param>
    /// <param name="errors">Receives the errors.</param>
    public static ChatTemplateRequest? Read(JsonFields fields, ThinkingSetting? thinking, RequestErrors errors)
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
            Messages = ChatMessagesJson.Read(chat, errors),
            Tools = fields.Take("tool_choice") is { ValueKind: JsonValueKind.String } choice && choice.ValueEquals("none") ? null : tools?.Clone(),
            Documents = documents?.Clone(),
            AddGenerationPrompt = addGenerationPrompt ?? !continueFinalMessage,
            ContinueFinalMessage = continueFinalMessage,
            ChatTemplateKwargs = Variables(kwargs, thinking, errors),
        };
    }

    /// <summary>The value of <c>tool_choice</c>; null if it is absent or <c>none</c>, which leaves the tools out of the chat.</summary>
    public static ToolChoice? ReadChoice(JsonFields fields, RequestErrors errors, ChatTemplateRequest? chat)
    {
        // "auto" needs no tools: it means the same as no choice.
        if (chat is null || (fields.Take("tool_choice") is { ValueKind: JsonValueKind.String } given && given.ValueEquals("auto")))
            return null;
        var tools = chat.Tools is { } list && list.GetArrayLength() > 0 ? chat.Tools : null;
        return ToolChoiceJson.Read(fields, errors, tools, out _);
    }

    private static Dictionary<string, JsonElement>? Variables(JsonElement? kwargs, ThinkingSetting? thinking, RequestErrors errors)
    {
        if (kwargs is null && thinking is null)
            return null;
        var variables = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        thinking?.AddTo(variables);
        if (kwargs is not { } given)
            return variables;
        foreach (var name in new JsonFields(given, errors).Names)
            variables[name] = given.GetProperty(name).Clone();
        return variables;
    }
}
