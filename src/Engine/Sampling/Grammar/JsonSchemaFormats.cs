namespace LocalLlm.Sampling.Grammar;

/// <summary>The formats of JSON schema that are kept to, as patterns.</summary>
internal static class JsonSchemaFormats
{
    private const string Date = "(\\d{4}-(0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|\\d{4}-(0[469]|11)-(0[1-9]|[12]\\d|30)|\\d{4}-02-(0[1-9]|1\\d|2[0-8])|(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";
    private const string Time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?([zZ]|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
    private const string Label = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";

    private static readonly Dictionary<string, string?> Patterns = new(StringComparer.Ordinal)
    {
        ["date"] = $"^{Date}$",
        ["time"] = $"^{Time}$",
        ["date-time"] = $"^{Date}[tT]{Time}$",
        ["uuid"] = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        ["ipv4"] = "^((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)$",
        ["hostname"] = $"^{Label}(\\.{Label})*$",
        ["email"] = $"^[a-zA-Z0-9!#$%&'*+/=?^_`{{|}}~-]+(\\.[a-zA-Z0-9!#$%&'*+/=?^_`{{|}}~-]+)*@{Label}(\\.{Label})*$",
        ["uri"] = "^[a-zA-Z][a-zA-Z0-9+.-]*:[a-zA-Z0-9._~:/?#\\[\\]@!$&'()*+,;=%-]+$",
        // Known, and not kept to.
        ["ipv6"] = null,
        ["uri-reference"] = null,
        ["iri"] = null,
        ["iri-reference"] = null,
        ["uri-template"] = null,
        ["json-pointer"] = null,
        ["relative-json-pointer"] = null,
        ["regex"] = null,
        ["duration"] = null,
        ["idn-email"] = null,
        ["idn-hostname"] = null,
    };

    /// <summary>The pattern of a format; null where the standard does not know it, so that it says nothing.</summary>
    /// <exception cref="GrammarException">It is known, and cannot be kept to.</exception>
    public static string? Find(string format, string at) =>
        !Patterns.TryGetValue(format, out var pattern) ? null : pattern ?? throw new GrammarException($"{at}: '{format}' cannot be kept to");
}
