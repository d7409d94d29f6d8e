using System.Collections.Concurrent;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

/// <summary>Tokenizers by family, loaded once for all tests.</summary>
internal static class TokenizerFolders
{
    private static readonly ConcurrentDictionary<string, Lazy<Tokenizer>> Loaded = new();

    public const string TinyR1 = "tiny-r1";

    public static readonly string[] BytePairFamilies =
        ["deepseek-r1-distill-qwen-32b", "deepseek-v3", "llama-3.1-8b-instruct", "qwen3", "llama-2-7b-hf", "stories260K", TinyR1];

    public static readonly string[] UnigramFamilies = ["bge-m3", "tiny-m3"];

    /// <summary>The tokenizer of a family; skips the calling test if its files are absent.</summary>
    public static Tokenizer Load(string family)
    {
        var folder = Folder(family);
        return Loaded.GetOrAdd(family, _ => new(() => Tokenizer.Load(folder))).Value;
    }

    public static string Folder(string family) => family switch
    {
        TinyR1 => TestPaths.TinyR1,
        "tiny-m3" => TestPaths.TinyM3,
        "stories260K" => TestPaths.Shared("data", "weights", "stories260K-hf"),
        _ => TestPaths.Shared("data", "tokenizers", family),
    };

    public static TheoryData<string> All => [.. BytePairFamilies];

    public static TheoryData<string> Unigrams => [.. UnigramFamilies];

    /// <summary>The factor by which tests multiply their usual number of random cases.</summary>
    public static int FuzzFactor =>
        int.TryParse(Environment.GetEnvironmentVariable("LOCALLLM_FUZZ"), out var factor) && factor > 0 ? factor : 1;
}
