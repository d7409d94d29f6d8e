using System.IO.Enumeration;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace LocalLlm.Hub;

/// <summary>
/// Chooses the files of a repository that loading a model needs. All others (other formats, copies for other frameworks) are not fetched.
/// </summary>
internal static partial class ModelFiles
{
    /// <summary>The index of a sharded checkpoint.</summary>
    public const string IndexName = "model.safetensors.index.json";

    /// <summary>The index of a sharded checkpoint in PyTorch's own format.</summary>
    public const string PickleIndexName = PickleName + ".index.json";

    private const string SingleName = "model.safetensors";
    private const string PickleName = "pytorch_model.bin";
    private const int MaxIndexBytes = 64 << 20;

    /// <summary>The files that a tokenizer and a chat template need, for <see cref="HubOptions.AllowPatterns"/>.</summary>
    public static readonly string[] TokenizerPatterns =
        ["config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab.*", "merges.txt", "additional_chat_templates/*.jinja"];

    /// <summary>All files that a model needs except its weights, for <see cref="HubOptions.AllowPatterns"/>.</summary>
    public static readonly string[] AllButWeights =
    [
        .. TokenizerPatterns, "generation_config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json",
        "1_Pooling/config.json",
    ];

    private static readonly string[] Texts =
    [
        "config.json", "generation_config.json", "special_tokens_map.json", "added_tokens.json", "modules.json",
        "config_sentence_transformers.json",
    ];

    private static readonly string[] OldVocabularies = ["vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model"];

    /// <summary>The index of the weights; null: they need none. An index of pickles counts only if there are no safetensors.</summary>
    public static RemoteFile? IndexOf(Listing listing) =>
        listing.Files.FirstOrDefault(file => file.Path == IndexName)
        ?? (RootsOf(listing).Any() ? null : listing.Files.FirstOrDefault(file => file.Path == PickleIndexName));

    /// <summary>The configuration, the tokenizer, the templates and the index of the weights.</summary>
    public static IEnumerable<RemoteFile> TextsOf(Listing listing)
    {
        var index = IndexOf(listing);
        var hasTokenizer = listing.Files.Any(file => file.Path == "tokenizer.json");
        return listing.Files.Where(file => file == index || Texts.Contains(file.Path) || TextPattern().IsMatch(file.Path) || (!hasTokenizer && OldVocabularies.Contains(file.Path)));
    }

    /// <summary>The files of the weights.</summary>
    /// <param name="listing">The repository.</param>
    /// <param name="index">The local copy of <see cref="IndexOf"/>; null: there is none.</param>
    /// <exception cref="EngineException">ModelFolder: the index names a file that the repository does not have.</exception>
    public static IEnumerable<RemoteFile> WeightsOf(Listing listing, string? index)
    {
        var roots = RootsOf(listing).ToList();
        if (index is not null)
        {
            var wanted = ShardsIn(index);
            if (wanted.FirstOrDefault(shard => !listing.Files.Any(file => file.Path == shard)) is { } missing)
                throw EngineException.ModelFolder(Path.GetFileName(index), $"names {SafeNames.Quote(missing)}, which the repository does not have");
            roots = [.. listing.Files.Where(file => wanted.Contains(file.Path))];
        }
        else if (roots.Find(file => file.Path == SingleName) is { } single)
        {
            roots = [single];
        }

        // A pickle is taken only if there are no safetensors; the small heads of BGE-M3 exist in no other form.
        return listing.Files.Where(file => IsHead(file) || (file.Path == PickleName && roots.Count == 0)).Concat(roots);
    }

    /// <summary>Whether a file has the weights of an additional module, without which the model can still be loaded.</summary>
    public static bool IsHead(RemoteFile file) => ModuleWeights().IsMatch(file.Path) || IsBgeHead(file.Path);

    /// <summary>The model's own weights as safetensors.</summary>
    public static IEnumerable<RemoteFile> RootsOf(Listing listing) => listing.Files.Where(file =>
        file.Path.EndsWith(".safetensors", StringComparison.Ordinal) && !file.Path.Contains('/', StringComparison.Ordinal) && !file.Path.StartsWith("consolidated", StringComparison.Ordinal) && !IsBgeHead(file.Path));

    private static bool IsBgeHead(string path) => path is "sparse_linear.pt" or "colbert_linear.pt" or "sparse_linear.safetensors" or "colbert_linear.safetensors";

    /// <summary>Whether a file's name matches one of the user's patterns.</summary>
    public static bool Matches(string path, IReadOnlyList<string> patterns) =>
        patterns.Any(pattern => FileSystemName.MatchesSimpleExpression(pattern, path, ignoreCase: false));

    /// <summary>
    /// Whether a folder, perhaps from an unfinished download, can be loaded. Downloads fetch the model's own weights last, so if they are
    /// there all other files are too.
    /// </summary>
    public static bool AreIn(string folder, IReadOnlyList<string>? patterns)
    {
        if (patterns is not null)
            return Directory.Exists(folder) && Directory.EnumerateFiles(folder).Any(file => Matches(Path.GetFileName(file), patterns) && File.Exists(file));
        if (!File.Exists(Path.Combine(folder, "config.json")))
            return false;
        if (Has(IndexName))
            return HasShardsOf(IndexName);
        if (Directory.EnumerateFiles(folder, "*.safetensors").Any(file => File.Exists(file) && !IsBgeHead(Path.GetFileName(file))))
            return true;
        return Has(PickleIndexName) ? HasShardsOf(PickleIndexName) : Has(PickleName);

        bool Has(string file) => File.Exists(Path.Combine(folder, file));

        bool HasShardsOf(string index) => ShardsIn(Path.Combine(folder, index)).All(shard => SafeNames.PathFault(shard) is null && Has(shard));
    }

    private static HashSet<string> ShardsIn(string index)
    {
        var name = Path.GetFileName(index);
        if (Disk.Length(index) is null or > MaxIndexBytes)
            throw EngineException.ModelFolder(name, $"is no file of at most {MaxIndexBytes >> 20} MiB");
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(index));
            return json.RootElement.Member("weight_map") is { ValueKind: JsonValueKind.Object } map
                ? [.. map.EnumerateObject().Where(tensor => tensor.Value.ValueKind == JsonValueKind.String).Select(tensor => tensor.Value.GetString()!)]
                : [];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw EngineException.ModelFolder(name, "is not valid JSON: " + e.Message, e);
        }
    }

    [GeneratedRegex(@"\A(?:tokenizer[^/]*\.json|chat_template[^/]*\.(?:jinja|json)|additional_chat_templates/[^/]+\.jinja|sentence_[a-z]+_config\.json|[0-9]+_[A-Za-z]+/config\.json)\z")]
    private static partial Regex TextPattern();

    [GeneratedRegex(@"\A[0-9]+_[A-Za-z]+/model\.safetensors\z")]
    private static partial Regex ModuleWeights();
}
