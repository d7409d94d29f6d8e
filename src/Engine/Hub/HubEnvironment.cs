using System.Text.RegularExpressions;

namespace LocalLlm.Hub;

/// <summary>Reads environment variables in the same way as huggingface_hub, modelscope and vLLM.</summary>
internal sealed partial class HubEnvironment(Func<string, string?> variable)
{
    private const string HuggingFaceEndpoint = "https://huggingface.co";
    private const string ModelScopeEndpoint = "https://www.modelscope.cn";

    // A token is one short line.
    private const int MaxTokenFileBytes = 64 << 10;

    /// <summary>The options for a hub; null: the hub that the environment chooses.</summary>
    public HubOptions Options(HubKind? hub) =>
        (hub ?? (IsTrue("LOCALLLM_USE_MODELSCOPE") || IsTrue("VLLM_USE_MODELSCOPE") ? HubKind.ModelScope : HubKind.HuggingFace)) == HubKind.ModelScope
            ? ModelScope()
            : HuggingFace();

    private bool IsOffline => IsTrue(Value("HF_HUB_OFFLINE") is null ? "TRANSFORMERS_OFFLINE" : "HF_HUB_OFFLINE");

    private string Home => Value("HOME") ?? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);

    private HubOptions HuggingFace()
    {
        var home = Expand(Value("HF_HOME") ?? Path.Combine(Value("XDG_CACHE_HOME") ?? Path.Combine(Home, ".cache"), "huggingface"));
        return new()
        {
            Hub = HubKind.HuggingFace,
            Endpoint = (Value("HF_ENDPOINT") ?? HuggingFaceEndpoint).TrimEnd('/'),
            Token = IsTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN")
                ? null
                : Clean(Value("HF_TOKEN")) ?? Clean(Value("HUGGING_FACE_HUB_TOKEN")) ?? TokenIn(Expand(Value("HF_TOKEN_PATH") ?? Path.Combine(home, "token"))),
            CacheFolder = Expand(Value("HF_HUB_CACHE") ?? Value("HUGGINGFACE_HUB_CACHE") ?? Path.Combine(home, "hub")),
            Offline = IsOffline,
            Symlinks = !IsTrue("HF_HUB_DISABLE_SYMLINKS"),
        };
    }

    private HubOptions ModelScope()
    {
        var own = Value("MODELSCOPE_CACHE") is { } given ? Expand(given) : null;
        var endpoint = (Value("MODELSCOPE_ENDPOINT") ?? Value("MODELSCOPE_DOMAIN") ?? ModelScopeEndpoint).Trim().TrimEnd('/');
        return new()
        {
            Hub = HubKind.ModelScope,
            Endpoint = endpoint.Contains("://", StringComparison.Ordinal) ? endpoint : "https://" + endpoint,
            Token = Clean(Value("MODELSCOPE_API_TOKEN")),
            CacheFolder = Path.Combine(own ?? Path.Combine(Home, ".cache", "modelscope", "hub"), "models"),
            OtherCacheFolder = own is null ? Path.Combine(Home, ".cache", "modelscope", "models") : Path.Combine(own, "hub", "models"),
            Offline = IsOffline,
        };
    }

    // An empty variable counts as unset.
    private string? Value(string name) => variable(name) is { Length: > 0 } value ? value : null;

    private bool IsTrue(string name) => Value(name)?.Trim().ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";

    private string Expand(string path)
    {
        if (path == "~" || path.StartsWith("~/", StringComparison.Ordinal))
            path = Home + path[1..];
        return Path.GetFullPath(Variables().Replace(path, match => variable(match.Groups[1].Value + match.Groups[2].Value) ?? match.Value));
    }

    private static string? Clean(string? token) =>
        token?.Replace("\r", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal).Trim() is { Length: > 0 } clean ? clean : null;

    private static string? TokenIn(string path)
    {
        try
        {
            return new FileInfo(path) is { Exists: true, Length: <= MaxTokenFileBytes } ? Clean(File.ReadAllText(path)) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [GeneratedRegex(@"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")]
    private static partial Regex Variables();
}
