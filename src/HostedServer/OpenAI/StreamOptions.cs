using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>How a response is sent.</summary>
/// <param name="IsStream">In pieces, as they are generated.</param>
/// <param name="IncludeUsage">With a further piece at the end that has the usage.</param>
/// <param name="ContinuousUsage">With the usage so far on every piece.</param>
internal sealed record StreamOptions(bool IsStream, bool IncludeUsage, bool ContinuousUsage)
{
    private const string Field = "stream_options";

    /// <summary>Reads <c>stream</c> and <c>stream_options</c>; records errors of form.</summary>
    public static StreamOptions Read(JsonFields fields, RequestErrors errors)
    {
        var isStream = fields.Boolean("stream") ?? false;
        if (fields.Json(Field, JsonValueKind.Object, "an object such as {\"include_usage\": true}") is not { } options)
            return new(isStream, false, false);
        if (!isStream)
            errors.Add(Field, "an object", "only together with stream: true");
        var include = Switch(options, "include_usage", errors);
        var continuous = Switch(options, "continuous_usage_stats", errors);
        return new(isStream, include, include && continuous);
    }

    private static bool Switch(JsonElement options, string name, RequestErrors errors)
    {
        if (!options.TryGetProperty(name, out var value) || value.ValueKind is JsonValueKind.Null or JsonValueKind.False)
            return false;
        if (value.ValueKind == JsonValueKind.True)
            return true;
        errors.Add($"{Field}.{name}", value.ValueKind.ToString().ToLowerInvariant(), "true or false");
        return false;
    }
}
