using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>Converts API messages to the form that a template expects, as vLLM's <c>parse_chat_messages</c> does.</summary>
internal sealed class ChatMessagePreparer(ChatContentFormat format, TemplateAnalysis template)
{
    private const string Field = "messages";

    // Whether strings must become lists, because the template accepts nothing else.
    private readonly bool _wrapsStrings = format == ChatContentFormat.OpenAI && template.IteratesContent && !template.ChecksForString;

    /// <param name="messages">The messages of the request.</param>
    /// <param name="form">The form of the arguments of tool calls.</param>
    /// <exception cref="EngineException">A message is malformed.</exception>
    public List<object?> Prepare(List<object?> messages, ArgumentsForm form)
    {
        var arguments = new ToolCallArguments(form, template.TakesArgumentsAsText);
        return [.. messages.Select((message, index) => Prepare(message, index, arguments))];
    }

    private PyDict Prepare(object? value, int index, ToolCallArguments arguments)
    {
        var where = $"{Field}[{index}]";
        if (value is not PyDict message)
            throw Invalid($"{where} must be an object with a role, found {Kind(value)}");
        if (message.Get("role") is not string role)
            throw Invalid($"{where}.role must be a string, found {Kind(message.Get("role"))}");
        if (role == "developer" && !template.KnowsDevelopers)
            role = "system";
        var result = new PyDict { ["role"] = role, ["content"] = null };
        foreach (var (key, item) in message.Items)
        {
            if (key is not ("role" or "content") && item is not null)
                result[key] = item;
        }

        if (message.Get("tool_calls") is List<object?> calls)
        {
            if (calls.Count == 0)
                result.Remove("tool_calls");
            else
                result["tool_calls"] = calls.Select((call, i) => (object?)ToolCall(call, $"{where}.tool_calls[{i}]", arguments)).ToList();
        }
        else if (message.Get("tool_calls") is { } other)
        {
            throw Invalid($"{where}.tool_calls must be an array, found {Kind(other)}");
        }

        if (role == "assistant" && (message.Get("reasoning") ?? message.Get("reasoning_content")) is { } reasoning)
        {
            result["reasoning"] = reasoning;
            result["reasoning_content"] = reasoning;
        }

        // An assistant's refusal is its content.
        var content = message.Get("content");
        if (content is null or "" && role == "assistant" && message.Get("refusal") is string { Length: > 0 } refusal)
            content = refusal;
        result["content"] = Content(content, where, result.Contains("tool_calls"));
        return result;
    }

    private object? Content(object? content, string where, bool hasToolCalls)
    {
        switch (content)
        {
            case null when hasToolCalls && template.ChecksForNone:
                return null;
            case null:
                return _wrapsStrings ? new List<object?>() : "";
            case string text:
                return _wrapsStrings ? new List<object?> { TextPart(text) } : text;
            case List<object?> parts:
                var texts = parts.Select((part, i) => PartText(part, $"{where}.content[{i}]")).OfType<string>();
                return format == ChatContentFormat.OpenAI ? texts.Select(text => (object?)TextPart(text)).ToList() : string.Join('\n', texts);
            default:
                throw Invalid($"{where}.content must be a string or an array of parts, found {Kind(content)}");
        }
    }

    private static PyDict TextPart(string text) => new() { ["type"] = "text", ["text"] = text };

    private static string? PartText(object? part, string where)
    {
        if (part is string text)
            return text;
        if (part is not PyDict dict)
            throw Invalid($"{where} must be an object or a string, found {Kind(part)}");
        var type = dict.Get("type") as string ?? (dict.Contains("text") ? "text" : null);
        var value = type switch
        {
            "text" or "input_text" or "output_text" => dict.Get("text"),
            "refusal" => dict.Get("refusal"),
            "thinking" => dict.Get("thinking"),
            null => throw Invalid($"{where}.type is missing"),
            _ => throw Invalid($"{where}: a part of type '{type}' is not supported; this model reads text only"),
        };
        return value is null or string ? (string?)value : throw Invalid($"{where}: the text of a part must be a string, found {Kind(value)}");
    }

    private static PyDict ToolCall(object? call, string where, ToolCallArguments arguments)
    {
        if (call is not PyDict original || original.Get("function") is not PyDict function)
            throw Invalid($"{where} must be an object with a function");
        var copy = function.Copy();
        copy["arguments"] = arguments.Of(function.Get("arguments"));
        var result = original.Copy();
        result["function"] = copy;
        return result;
    }

    // JSON's name for a kind of value.
    private static string Kind(object? value) => value switch
    {
        null => "null",
        PyDict => "object",
        List<object?> => "array",
        string => "string",
        bool => "boolean",
        _ => "number",
    };

    private static EngineException Invalid(string problem) => EngineException.InvalidRequest(Field, problem);
}
