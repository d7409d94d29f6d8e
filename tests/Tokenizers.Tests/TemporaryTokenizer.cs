using System.Text.Json;
using System.Text.Json.Nodes;

namespace LocalLlm.Tokenizers.Tests;

/// <summary>A small self-made tokenizer.json in a folder of its own: characters as tokens, a few merges.</summary>
internal sealed class TemporaryTokenizer : IDisposable
{
    public const string Characters = " !<>|▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789éÉ[]/.,-";

    public TemporaryTokenizer(Action<JsonObject>? change = null, string? config = null)
    {
        var vocabulary = new JsonObject();
        foreach (var c in Characters)
            vocabulary[c.ToString()] = vocabulary.Count;
        foreach (var token in new[] { "<unk>", "ab", "abc", "th", "the" })
            vocabulary[token] = vocabulary.Count;
        Json = new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(),
            ["normalizer"] = null,
            ["pre_tokenizer"] = null,
            ["post_processor"] = null,
            ["decoder"] = new JsonObject { ["type"] = "Fuse" },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = "<unk>",
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray("a b", "ab c", "t h", "th e"),
            },
        };
        change?.Invoke(Json);
        Folder = Directory.CreateTempSubdirectory("tokenizer").FullName;
        Write(JsonSerializer.SerializeToUtf8Bytes(Json));
        if (config is not null)
            File.WriteAllText(Path.Combine(Folder, "tokenizer_config.json"), config);
    }

    public JsonObject Json { get; }

    public string Folder { get; }

    public JsonObject Model => (JsonObject)Json["model"]!;

    public void Write(byte[] bytes) => File.WriteAllBytes(Path.Combine(Folder, "tokenizer.json"), bytes);

    public Tokenizer Load() => Tokenizer.Load(Folder);

    public static JsonObject Added(
        int id, string content, bool special = false, bool normalized = false, bool lstrip = false, bool rstrip = false, bool singleWord = false) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["special"] = special,
        ["normalized"] = normalized,
        ["lstrip"] = lstrip,
        ["rstrip"] = rstrip,
        ["single_word"] = singleWord,
    };

    public static JsonObject Parse(string json) => (JsonObject)JsonNode.Parse(json)!;

    /// <summary>Encodes a text and returns the tokens' texts in the vocabulary, joined by <c>·</c>.</summary>
    public static string Show(Tokenizer tokenizer, string text, char? guard = null) =>
        string.Join('·', tokenizer.Encode(text, guard: guard).Select(tokenizer.IdToToken));

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
