namespace LocalLlm.Grammars;

/// <summary>The JSON Schema formats that are enforced, as patterns.</summary>
internal static class JsonSchemaFormats
{
    private const string Date = "(\\d{4}-(0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|\\d{4}-(0[469]|11)-(0[1-9]|[12]\\d|30)|\\d{4}-02-(0[1-9]|1\\d|2[0-8])|(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";
    private const string Time = "(([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?([zZ]|[+-]([01]\\d|2[0-3]):[0-5]\\d)|23:59:60(\\.\\d+)?[zZ])";
    private const string Label = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";

    private const string Ipv4 = "((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
    private const string UriCharacter = "([a-zA-Z0-9._~:/?@!$&'()*+,;=-]|%[0-9a-fA-F]{2})";
    private const string Bracketed = $"//({UriCharacter}*@)?\\[[0-9a-fA-F:.]+\\](:\\d*)?([/?]{UriCharacter}*)?"; // an IPv6 address
    private const string Pointer = "(/([^/~]|~[01])*)*";
    private const string Seconds = "(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)";

    private static readonly Dictionary<string, string?> Patterns = new(StringComparer.Ordinal)
    {
        ["date"] = $"^{Date}$",
        ["time"] = $"^{Time}$",
        ["date-time"] = $"^{Date}[tT]{Time}$",
        ["uuid"] = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        ["ipv4"] = $"^{Ipv4}$",
        ["hostname"] = $"^{Label}(\\.{Label})*$",
        ["email"] = $"^[a-zA-Z0-9!#$%&'*+/=?^_`{{|}}~-]+(\\.[a-zA-Z0-9!#$%&'*+/=?^_`{{|}}~-]+)*@{Label}(\\.{Label})*$",
        ["uri"] = $"^[a-zA-Z][a-zA-Z0-9+.-]*:({Bracketed}|{UriCharacter}*)(#{UriCharacter}*)?$",

        // A colon in the first segment would end a scheme.
        ["uri-reference"] = $"^([a-zA-Z][a-zA-Z0-9+.-]*:({Bracketed}|{UriCharacter}*)|{Bracketed}|([a-zA-Z0-9._~@!$&'()*+,;=-]|%[0-9a-fA-F]{{2}})*([/?]{UriCharacter}*)?)(#{UriCharacter}*)?$",
        ["ipv6"] = $"^({string.Join('|', Ipv6())})$",
        ["json-pointer"] = $"^{Pointer}$",
        ["relative-json-pointer"] = $"^(0|[1-9]\\d*)(#|{Pointer})$",
        ["duration"] = $"^P((\\d+D|\\d+M(\\d+D)?|\\d+Y(\\d+M(\\d+D)?)?)(T{Seconds})?|T{Seconds}|\\d+W)$",
        // Known, but not enforced.
        ["iri"] = null,
        ["iri-reference"] = null,
        ["uri-template"] = null,
        ["regex"] = null,
        ["idn-email"] = null,
        ["idn-hostname"] = null,
    };

    /// <summary>The pattern of a format; null if the standard does not define the format, which then says nothing.</summary>
    /// <exception cref="GrammarException">The format is known but cannot be enforced.</exception>
    public static string? Find(string format, string at) =>
        !Patterns.TryGetValue(format, out var pattern) ? null : pattern ?? throw new GrammarException($"{at}: '{format}' cannot be enforced");

    // RFC 4291 as RFC 3986 writes it: one run of zero groups may be left out.
    private static IEnumerable<string> Ipv6()
    {
        const string Group = "[0-9a-fA-F]{1,4}";
        const string Last = $"({Group}:{Group}|{Ipv4})";
        yield return $"({Group}:){{6}}{Last}";
        yield return $"::({Group}:){{5}}{Last}";
        for (var before = 0; before <= 4; before++)
            yield return $"(({Group}:){{0,{before}}}{Group})?::({Group}:){{{4 - before}}}{Last}";
        yield return $"(({Group}:){{0,5}}{Group})?::{Group}";
        yield return $"(({Group}:){{0,6}}{Group})?::";
    }
}
