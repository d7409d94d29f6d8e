using System.Text.Json;

namespace LocalLlm.Hub;

/// <summary>Reads members of a hub's response; a value of another kind counts as absent.</summary>
internal static class JsonFieldsOfHubs
{
    /// <summary>A string, or null.</summary>
    public static string? Text(this JsonElement element, string name) =>
        Member(element, name) is { ValueKind: JsonValueKind.String } value ? Text(value) : null;

    /// <summary>An integer; null: absent; -1: a number that cannot be a number of bytes.</summary>
    public static long? Number(this JsonElement element, string name) =>
        Member(element, name) is { ValueKind: JsonValueKind.Number } value ? value.TryGetInt64(out var number) ? number : -1 : null;

    /// <summary>A member, or null.</summary>
    public static JsonElement? Member(this JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) ? value : null;

    /// <summary>The files in an array, each path once.</summary>
    /// <exception cref="EngineException">ModelFolder: the array is missing or too long, or an entry is not a valid file.</exception>
    public static List<RemoteFile> Files(JsonElement parent, string name, string repository, Func<JsonElement, RemoteFile?> read)
    {
        if (Member(parent, name) is not { ValueKind: JsonValueKind.Array } array)
            throw EngineException.ModelFolder(repository, $"the hub's response has no list {name}; is the endpoint a hub?");
        if (array.GetArrayLength() > Listing.MaxFiles)
            throw EngineException.ModelFolder(repository, $"the hub lists {array.GetArrayLength()} files; at most {Listing.MaxFiles} are possible");
        var files = array.EnumerateArray().Select(read).OfType<RemoteFile>().ToList();
        var twice = files.GroupBy(file => file.Path, StringComparer.Ordinal).FirstOrDefault(same => same.Count() > 1);
        return twice is null ? files : throw EngineException.ModelFolder(repository, $"the hub lists {SafeNames.Quote(twice.Key)} twice");
    }

    // An escaped lone surrogate cannot become text.
    private static string Text(JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            return "\uFFFD";
        }
    }
}
