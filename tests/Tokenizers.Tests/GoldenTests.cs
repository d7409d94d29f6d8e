using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

/// <summary>Compares ids and texts with those of Hugging Face's own tokenizers.</summary>
public class GoldenTests
{
    // Texts whose marks the JavaScript port reorders or composes across the whole text, while the original looks at one short grapheme
    // cluster at a time (Arabic shadda with kasra; U+1E9B U+0323). Our ids are the original's.
    private static readonly int[] NormalizedOtherwiseByThePort = [261, 651];

    [Theory]
    [InlineData("deepseek-r1-distill-qwen-32b")]
    [InlineData("deepseek-v3")]
    [InlineData("llama-3.1-8b-instruct")]
    [InlineData("tiny-r1")]
    [InlineData("bge-m3")]
    [InlineData("tiny-m3")]
    public void Ids_and_text_equal_those_of_the_reference(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        using var golden = JsonDocument.Parse(File.ReadAllBytes(TestPaths.Shared("goldens", "tokenizers", family + ".json")));
        var cases = 0;
        foreach (var item in golden.RootElement.GetProperty("cases").EnumerateArray())
        {
            var text = item.GetProperty("text").GetString()!;
            var ids = Ids(item.GetProperty("ids"));
            Assert.Equal(ids, tokenizer.Encode(text, addSpecialTokens: false));
            var all = item.TryGetProperty("ids_with_special", out var special) ? Ids(special) : ids;
            Assert.Equal(all, tokenizer.Encode(text));
            var decoded = item.TryGetProperty("decoded", out var d) ? d.GetString()! : text;
            Assert.Equal(decoded, tokenizer.Decode(ids));
            Assert.Equal(item.TryGetProperty("decoded_skip_special", out var s) ? s.GetString()! : decoded, tokenizer.Decode(ids, true));
            cases++;
        }

        Assert.Equal(100, cases);
    }

    [Theory]
    [InlineData("deepseek-r1-distill-qwen-32b", "deepseek-r1-distill-qwen")]
    [InlineData("deepseek-v3", "deepseek-v3")]
    [InlineData("llama-3.1-8b-instruct", "llama-3.1")]
    [InlineData("qwen3", "qwen3")]
    [InlineData("llama-2-7b-hf", "llama-2")]
    [InlineData("bge-m3", "bge-m3")]
    public void Ids_and_text_equal_those_of_the_javascript_port(string family, string file)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var texts = File.ReadLines(TestPaths.Shared("data", "tokenizers", "goldens", "texts.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(line => line.GetProperty("id").GetInt32(), line => line.GetProperty("text").GetString()!);
        var cases = 0;
        foreach (var line in File.ReadLines(TestPaths.Shared("data", "tokenizers", "goldens", "hf_tokenizers_js", file + ".jsonl")))
        {
            var item = JsonDocument.Parse(line).RootElement;
            var text = texts[item.GetProperty("id").GetInt32()];
            cases++;
            if (family == "bge-m3" && NormalizedOtherwiseByThePort.Contains(item.GetProperty("id").GetInt32()))
                continue;
            var ids = Ids(item.GetProperty("ids"));
            Assert.Equal(ids, tokenizer.Encode(text, addSpecialTokens: false));
            Assert.Equal(item.TryGetProperty("ids_special", out var special) ? Ids(special) : ids, tokenizer.Encode(text));
            Assert.Equal(item.TryGetProperty("decoded", out var decoded) ? decoded.GetString()! : text, tokenizer.Decode(ids));
        }

        Assert.Equal(318, cases);
    }

    [Fact]
    public void Prompts_and_outputs_of_the_trained_model_are_its_ids_and_texts()
    {
        var tokenizer = TokenizerFolders.Load(TokenizerFolders.TinyR1);
        using var golden = JsonDocument.Parse(File.ReadAllBytes(TestPaths.Shared("goldens", "trained", "tiny-r1.json")));
        foreach (var item in golden.RootElement.GetProperty("prompts").EnumerateArray())
        {
            Assert.Equal(Ids(item.GetProperty("ids")), tokenizer.Encode(item.GetProperty("prompt").GetString()!));
            Assert.Equal(item.GetProperty("output_text").GetString(), tokenizer.Decode(Ids(item.GetProperty("output_ids")), skipSpecialTokens: true));
        }
    }

    [Fact]
    public void Ids_of_the_trained_encoder_are_its_own()
    {
        var tokenizer = TokenizerFolders.Load("tiny-m3");
        using var golden = JsonDocument.Parse(File.ReadAllBytes(TestPaths.Shared("goldens", "trained", "tiny-m3.json")));
        var texts = golden.RootElement.GetProperty("texts").EnumerateArray().ToArray();
        Assert.All(texts, item => Assert.Equal(Ids(item.GetProperty("ids")), tokenizer.Encode(item.GetProperty("text").GetString()!)));
        Assert.NotEmpty(texts);
    }

    private static int[] Ids(JsonElement element) => [.. element.EnumerateArray().Select(id => id.GetInt32())];
}
