using System.Text.Json;
using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>The special tokens of a tokenizer as template variables (<c>bos_token</c>, <c>eos_token</c> and so on).</summary>
internal static class SpecialTokens
{
    private static readonly string[] Names =
        ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    /// <summary>The members of a file that <see cref="Add"/> reads.</summary>
    public static IEnumerable<string> Members => [.. Names, "additional_special_tokens", "extra_special_tokens"];

    /// <summary>
    /// Adds the tokens that a tokenizer_config.json or special_tokens_map.json names and <paramref name="tokens"/> lacks.
    /// </summary>
    public static void Add(PyDict tokens, JsonElement config, string file)
    {
        foreach (var name in Names)
        {
            if (config.TryGetProperty(name, out var value) && !tokens.Contains(name) && Content(value, file, name) is { } token)
                tokens[name] = token;
        }

        const string Additional = "additional_special_tokens";
        if (!tokens.Contains(Additional) && config.TryGetProperty(Additional, out var list) && list.ValueKind == JsonValueKind.Array)
            tokens[Additional] = list.EnumerateArray().Select(item => (object?)Content(item, file, Additional)).ToList();
        if (!config.TryGetProperty("extra_special_tokens", out var extra) || extra.ValueKind != JsonValueKind.Object)
            return;
        foreach (var property in extra.EnumerateObject())
        {
            if (!tokens.Contains(property.Name) && Content(property.Value, file, property.Name) is { } token)
                tokens[property.Name] = token;
        }
    }

    private static string? Content(JsonElement value, string file, string name) => value.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Object when value.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String =>
            content.GetString(),
        _ => throw EngineException.ModelFolder(file, $"{name} must be a string or an object with a string content, found {value.ValueKind}"),
    };
}
