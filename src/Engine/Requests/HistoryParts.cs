using System.Text.Json;
using System.Text.Json.Nodes;

namespace LocalLlm.Requests;

/// <summary>
/// The parts of a message's content that are not its text: thoughts (Anthropic's and Mistral's <c>thinking</c>, <c>reasoning</c>), tool
/// calls (Anthropic's <c>tool_use</c>, the AI SDK's <c>tool-call</c>) and tool results (<c>tool_result</c>, <c>tool-result</c>).
/// </summary>
/// <param name="errors">Receives faults.</param>
internal sealed class HistoryParts(RequestErrors errors)
{
    // Members that may hold the text of a thought or of a result; the first one present counts.
    private static readonly string[] ThoughtMembers = ["thinking", "reasoning", "reasoning_content", "text", "content", "summary"];

    /// <summary>The thoughts, concatenated.</summary>
    public string Thought { get; private set; } = "";

    /// <summary>The calls, in the form of <c>tool_calls</c>.</summary>
    public List<JsonObject> Calls { get; } = [];

    /// <summary>The results, as messages.</summary>
    public List<JsonObject> Results { get; } = [];

    /// <summary>Whether a part of this type is a tool's result.</summary>
    public static bool IsResult(string type) => type is "tool_result" or "tool-result";

    /// <summary>The text if the value is a string, else null.</summary>
    public static string? Text(JsonNode? value) => value is JsonValue && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    /// <summary>All text of a thought, in any of its forms.</summary>
    public static string ThoughtOf(JsonNode? value) => value switch
    {
        JsonArray items => string.Concat(items.Select(ThoughtOf)),
        JsonObject item => ThoughtMembers.Select(name => item[name]).FirstOrDefault(member => member is not null) is { } text ? ThoughtOf(text) : "",
        _ => Text(value) ?? "",
    };

    /// <summary>Takes the parts that are not text out of a content, and returns the rest unchecked.</summary>
    /// <param name="content">The parts.</param>
    /// <param name="where">Their place in the request.</param>
    /// <param name="thoughts">Whether to take thoughts too.</param>
    public JsonArray Take(JsonArray content, string where, bool thoughts = true)
    {
        var rest = new JsonArray();
        for (var i = 0; i < content.Count; i++)
        {
            var place = $"{where}[{i}]";
            if (content[i] is not JsonObject part || Text(part["type"]) is not { } type)
            {
                rest.Add(content[i]?.DeepClone());
                continue;
            }

            switch (type)
            {
                case "thinking" or "reasoning" or "reasoning_content" when thoughts:
                    Thought += ThoughtOf(part);
                    break;
                case "redacted_thinking" when thoughts:
                    break;
                case "tool_use" or "tool-call" when thoughts:
                    AddCall(part, place);
                    break;
                case "tool_result" or "tool-result":
                    AddResult(part, place);
                    break;
                case "text" or "output_text" or "refusal" when IsNull(part, type == "refusal" ? type : "text"):
                    break;
                default:
                    rest.Add(part.DeepClone());
                    break;
            }
        }

        return rest;
    }

    private static bool IsNull(JsonObject part, string name) => part.ContainsKey(name) && part[name] is null;

    private void AddCall(JsonObject part, string where)
    {
        var name = part.ContainsKey("toolName") ? "toolName" : "name";
        if (Text(part[name]) is not { Length: > 0 } function)
        {
            errors.Add($"{where}.{name}", HistoryCalls.Kind(part[name]), "the name of a function");
            return;
        }

        var call = new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = function, ["arguments"] = (part["input"] ?? part["args"] ?? part["arguments"])?.DeepClone() } };
        if (Id(part, "id", "toolCallId", where) is { } id)
            call["id"] = id;
        Calls.Add(call);
    }

    private void AddResult(JsonObject part, string where)
    {
        var result = new JsonObject { ["role"] = "tool", ["content"] = ResultOf(part["content"] ?? part["output"] ?? part["result"]) };
        if (Id(part, "tool_use_id", "toolCallId", where) is { } id)
            result["tool_call_id"] = id;
        if (Text(part["toolName"]) is { } name)
            result["name"] = name;
        Results.Add(result);
    }

    private string? Id(JsonObject part, string name, string other, string where)
    {
        name = part.ContainsKey(other) ? other : name;
        HistoryCalls.TakeId(part, name, where, errors);
        return Text(part[name]);
    }

    // A result is a text, text parts, {type: text or json, value: …}, or any other JSON, which is kept as it is.
    private static JsonNode ResultOf(JsonNode? value)
    {
        if (value is JsonObject output && Text(output["type"]) is not null && output.ContainsKey("value"))
            value = output["value"];
        return value switch
        {
            null => JsonValue.Create(""),
            JsonArray parts when parts.Count > 0 && parts.All(part => part is JsonObject item && Text(item["type"]) is not null) => parts.DeepClone(),
            _ => JsonValue.Create(Text(value) ?? value.ToJsonString(HistoryReader.Written)),
        };
    }
}
