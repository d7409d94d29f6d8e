using System.Text.Json;
using System.Text.Json.Nodes;

namespace LocalLlm.Requests;

/// <summary>The tool calls of an assistant message: <c>tool_calls</c>, and <c>function_call</c> from older clients.</summary>
/// <param name="errors">Receives faults.</param>
internal sealed class HistoryCalls(RequestErrors errors)
{
    private const string Wanted = "an object with name and arguments";

    /// <summary>The calls, in the form of <c>tool_calls</c>.</summary>
    public JsonArray Calls { get; } = [];

    /// <summary>The JSON name of a value's kind.</summary>
    public static string Kind(JsonNode? value) => value is null ? "null" : value.GetValueKind().ToString().ToLowerInvariant();

    /// <summary>Converts an id that is a number to a string; records any other id that is not a string.</summary>
    /// <param name="holder">The object that may have the id.</param>
    /// <param name="name">The id's name.</param>
    /// <param name="where">The place of <paramref name="holder"/> in the request.</param>
    /// <param name="errors">Receives faults.</param>
    public static void TakeId(JsonObject holder, string name, string where, RequestErrors errors)
    {
        if (holder[name] is not { } id || HistoryParts.Text(id) is not null)
            return;
        holder[name] = id.GetValueKind() == JsonValueKind.Number ? id.ToJsonString() : null;
        if (holder[name] is null)
            errors.Add($"{where}.{name}", Kind(id), "a text");
    }

    /// <summary>Adds calls that already have the form of <c>tool_calls</c>.</summary>
    public void AddRange(IEnumerable<JsonObject> calls)
    {
        foreach (var call in calls)
            Calls.Add(call);
    }

    /// <summary>Reads <c>tool_calls</c>; empty values count as absent.</summary>
    public void Read(JsonNode? calls, string where)
    {
        if (calls is null or JsonObject { Count: 0 })
            return;
        if (calls is not JsonArray list)
        {
            errors.Add(where, Kind(calls), "a list of calls");
            return;
        }

        for (var i = 0; i < list.Count; i++)
        {
            if (list[i] is not (null or JsonObject { Count: 0 }))
                ReadCall(list[i]!, $"{where}[{i}]");
        }
    }

    /// <summary>Reads <c>function_call</c>; null if it is absent, or repeats one of <c>tool_calls</c>.</summary>
    /// <param name="call">The value.</param>
    /// <param name="where">Its place in the request.</param>
    /// <param name="id">The id to give to the call.</param>
    public (string Name, string Id)? ReadFunction(JsonNode? call, string where, string id)
    {
        if (call is null or JsonObject { Count: 0 })
            return null;
        if (NameOf(call, where) is not { } name || Calls.Any(other => HistoryParts.Text(other!["function"]!["name"]) == name))
            return null;
        Calls.Add(new JsonObject { ["id"] = id, ["type"] = "function", ["function"] = call.DeepClone() });
        return (name, id);
    }

    private void ReadCall(JsonNode node, string where)
    {
        if (node is not JsonObject call)
        {
            errors.Add(where, Kind(node), "an object with a function");
            return;
        }

        if (call["type"] is { } type && HistoryParts.Text(type) is not "function")
        {
            errors.Add($"{where}.type", HistoryParts.Text(type) ?? Kind(type), "function");
            return;
        }

        TakeId(call, "id", where, errors);
        if (NameOf(call["function"], $"{where}.function") is not null)
            Calls.Add(call.DeepClone());
    }

    private string? NameOf(JsonNode? function, string where)
    {
        if (function is not JsonObject members)
        {
            errors.Add(where, Kind(function), Wanted);
            return null;
        }

        if (HistoryParts.Text(members["name"]) is { Length: > 0 } name)
            return name;
        errors.Add($"{where}.name", HistoryParts.Text(members["name"]) is null ? Kind(members["name"]) : "an empty text", "the name of a function");
        return null;
    }
}
