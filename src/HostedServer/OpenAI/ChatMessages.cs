using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>Reads the <c>messages</c> of a chat: roles, and parts that a text model can read.</summary>
internal static class ChatMessages
{
    private const int MaxMessages = 4096;
    // "function" is the older name of "tool".
    private static readonly string[] Roles = ["system", "developer", "user", "assistant", "tool", "function"];
    private static readonly string[] TextParts = ["text", "input_text", "output_text", "refusal", "thinking"];
    private static readonly string[] ModelParts =
        ["thinking", "redacted_thinking", "reasoning", "reasoning_content", "tool_use", "tool-call", "tool_result", "tool-result"];

    private static readonly string[] OtherParts = ["image_url", "input_image", "image_embeds", "input_audio", "audio_url", "video_url", "file", "input_file", "image", "audio", "video"];

    /// <summary>Returns the messages, or null if they are missing or invalid (recorded as errors).</summary>
    /// <exception cref="ApiException">400: the model cannot read a part.</exception>
    public static JsonElement? Read(JsonFields fields, RequestErrors errors)
    {
        if (fields.Take("messages") is null)
        {
            errors.Add("messages", "nothing", "a list of at least one message");
            return null;
        }

        if (fields.Json("messages", JsonValueKind.Array, "a list of messages") is not { } messages)
            return null;
        var count = messages.GetArrayLength();
        if (count is 0 or > MaxMessages)
        {
            errors.Add("messages", $"{count} messages", $"1 to {MaxMessages}");
            return null;
        }

        var index = 0;
        foreach (var message in messages.EnumerateArray())
            Check(message, $"messages[{index++}]", errors);
        return ChatMessagesJson.Read(messages, errors);
    }

    private static void Check(JsonElement message, string where, RequestErrors errors)
    {
        if (message.ValueKind != JsonValueKind.Object)
        {
            errors.Add(where, Kind(message), "an object with a role");
            return;
        }

        if (!message.TryGetProperty("role", out var given) || given.ValueKind != JsonValueKind.String || LoneSurrogates.TextOf(given) is not { } role || !Roles.Contains(role))
        {
            errors.Add($"{where}.role", given.ValueKind == JsonValueKind.String ? LoneSurrogates.TextOf(given) : Kind(given), string.Join(", ", Roles.SkipLast(1)));
            return;
        }

        CheckText(message, "name", where, errors);
        var isOfModel = ChatMessagesJson.IsOfModel(message);
        if (!isOfModel)
        {
            CheckText(message, "tool_call_id", where, errors);
            CheckText(message, "reasoning", where, errors);
            CheckText(message, "reasoning_content", where, errors);
        }

        if (message.TryGetProperty("audio", out var audio) && audio.ValueKind != JsonValueKind.Null)
            throw Unreadable($"{where}.audio", "audio");
        if (role != "assistant" && message.TryGetProperty("function_call", out var call) && call.ValueKind != JsonValueKind.Null)
            throw Unreadable($"{where}.function_call", "function_call");
        if (message.TryGetProperty("content", out var content) && content.ValueKind != JsonValueKind.Null)
            CheckContent(content, $"{where}.content", isOfModel, errors);
    }

    private static void CheckContent(JsonElement content, string where, bool isOfModel, RequestErrors errors)
    {
        if (content.ValueKind == JsonValueKind.String)
            return;
        if (content.ValueKind != JsonValueKind.Array)
        {
            errors.Add(where, Kind(content), "a text or a list of text parts");
            return;
        }

        var index = 0;
        foreach (var part in content.EnumerateArray())
            CheckPart(part, $"{where}[{index++}]", isOfModel, errors);
    }

    private static void CheckPart(JsonElement part, string where, bool isOfModel, RequestErrors errors)
    {
        if (part.ValueKind == JsonValueKind.String)
            return;
        if (part.ValueKind != JsonValueKind.Object || !part.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String)
        {
            errors.Add(where, Kind(part), "{\"type\": \"text\", \"text\": …}");
            return;
        }

        var name = LoneSurrogates.TextOf(type);
        if (isOfModel ? ModelParts.Contains(name) : name is "tool_result" or "tool-result")
            return;
        if (OtherParts.Contains(name))
            throw Unreadable($"{where}.type", name);
        if (!TextParts.Contains(name))
            errors.Add($"{where}.type", name, "text");
        var member = name is "refusal" or "thinking" ? name : "text";
        if (TextParts.Contains(name) && (!part.TryGetProperty(member, out var text) || !(text.ValueKind == JsonValueKind.String || (isOfModel && text.ValueKind == JsonValueKind.Null))))
            errors.Add($"{where}.{member}", part.TryGetProperty(member, out var found) ? Kind(found) : "nothing", "a text");
    }

    private static void CheckText(JsonElement message, string name, string where, RequestErrors errors)
    {
        if (message.TryGetProperty(name, out var value) && value.ValueKind is not (JsonValueKind.String or JsonValueKind.Null))
            errors.Add($"{where}.{name}", Kind(value), "a text");
    }

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Undefined => "nothing",
        var kind => kind.ToString().ToLowerInvariant(),
    };

    private static ApiException Unreadable(string where, string what) => new(ApiError.Unsupported($"{where}: '{what}' is not supported; this model reads text only.", where));
}
