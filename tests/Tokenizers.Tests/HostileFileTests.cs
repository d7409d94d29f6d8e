using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class HostileFileTests
{
    [Theory]
    [InlineData("""{"model":3}""", "model is no object")]
    [InlineData("""{}""", "model is absent")]
    [InlineData("""[]""", "the outermost value is no object")]
    [InlineData("", "is empty")]
    [InlineData("""{"model":{"type":"WordPiece","vocab":{}}}""", "model.type is \"WordPiece\"")]
    [InlineData("""{"model":{"type":"BPE"}}""", "model.vocab")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0}}}""", "model.merges")]
    [InlineData("""{"model":{"type":"BPE","vocab":[],"merges":[]}}""", "model.vocab")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":"0"},"merges":[]}}""", "model.vocab[\"a\"]")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}""", "model.vocab[\"a\"] is -1")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":1e400},"merges":[]}}""", "model.vocab[\"a\"] is 1e400")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":1.5},"merges":[]}}""", "model.vocab[\"a\"] is 1.5")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":4294967296},"merges":[]}}""", "model.vocab[\"a\"] is 4294967296")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":16000000},"merges":[]}}""", "the id 16000000")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}""", "gives the id 0 both to \"a\" and to \"b\"")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}}""", "has the token \"a\" twice")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"vocab":{},"merges":[]}}""", "the member \"vocab\" twice")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"\ud800":0},"merges":[]}}""", "model.vocab")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}""", "model.merges[0]")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a a a"]}}""", "model.merges[0]")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}""", "model.merges[0] refers to the token \"b\"")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a a"]}}""", "model.merges[0] refers to the token \"aa\"")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}}""", "model.merges[0]")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0,"aa":1},"merges":[["a","a","a"]]}}""", "model.merges[0] has more than two")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[1]}}""", "model.merges[0]")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}}""", "model.dropout")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"end_of_word_suffix":"</w>"}}""", "model.end_of_word_suffix")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"u"}}""", "model.unk_token")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"fuse_unk":1}}""", "model.fuse_unk")]
    [InlineData("""{"added_tokens":{},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens")]
    [InlineData("""{"added_tokens":[1],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[0]")]
    [InlineData("""{"added_tokens":[{"id":1}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[0].content")]
    [InlineData("""{"added_tokens":[{"id":-1,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[0].id")]
    [InlineData("""{"added_tokens":[{"id":9999999,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "the id 9999999")]
    [InlineData("""{"added_tokens":[{"id":1e99,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[0].id")]
    [InlineData("""{"added_tokens":[{"id":0,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[0]")]
    [InlineData("""{"added_tokens":[{"id":1,"content":"a"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[0]")]
    [InlineData("""{"added_tokens":[{"id":1,"content":"x"},{"id":1,"content":"y"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[1]")]
    [InlineData("""{"added_tokens":[{"id":1,"content":"x"},{"id":2,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[1]")]
    [InlineData("""{"added_tokens":[{"id":1,"content":"\udc00"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[0].content")]
    [InlineData("""{"added_tokens":[{"id":1,"content":"x","special":"yes"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "added_tokens[0].special")]
    [InlineData("""{"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}]},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "post_processor")]
    [InlineData("""{"post_processor":{"type":"BertProcessing","cls":["a",7],"sep":["a",0]},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "post_processor adds the id 7")]
    [InlineData("""{"post_processor":{"type":"Other"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "post_processor.type is \"Other\"")]
    [InlineData("""{"decoder":[],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""", "decoder")]
    public void A_malformed_file_is_one_error_that_names_file_and_field(string json, string named)
    {
        using var folder = new TemporaryTokenizer();
        folder.Write(Encoding.UTF8.GetBytes(json));
        Assert.Contains(named, Refusal(folder.Folder).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"bos_token":3}""", "bos_token")]
    [InlineData("""{"bos_token":{"text":"x"}}""", "bos_token.content")]
    [InlineData("""{"added_tokens_decoder":[]}""", "added_tokens_decoder")]
    [InlineData("""{"added_tokens_decoder":{"x":{"content":"x"}}}""", "added_tokens_decoder.x")]
    [InlineData("""{"added_tokens_decoder":{"99999999999":{"content":"x"}}}""", "added_tokens_decoder.99999999999")]
    [InlineData("""{"added_tokens_decoder":{"9999999":{"content":"x!"}}}""", "the id 9999999")]
    [InlineData("""{"added_tokens_decoder":{"1":{"content":"x!"}}}""", "added_tokens_decoder.1")]
    [InlineData("{\"a\":", "no valid JSON")]
    public void A_malformed_configuration_is_one_error_that_names_file_and_field(string config, string named)
    {
        using var folder = new TemporaryTokenizer(config: config);
        var message = Refusal(folder.Folder, "tokenizer_config.json").Message;
        Assert.Contains(named, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_a_tokenizer_says_so()
    {
        var folder = Directory.CreateTempSubdirectory("tokenizer").FullName;
        Assert.False(Tokenizer.Exists(folder));
        Assert.Contains("no such file", Refusal(folder).Message, StringComparison.Ordinal);
        Directory.Delete(folder);
        Assert.True(Tokenizer.Exists(TestPaths.TinyR1));
    }

    [Fact]
    public void Text_that_is_not_utf8_is_refused()
    {
        using var folder = new TemporaryTokenizer();
        folder.Write([.. "{\"a\":\""u8, 0xFF, .. "\"}"u8]);
        Assert.Contains("UTF-8", Refusal(folder.Folder).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[", "]")]
    [InlineData("{\"a\":", "}")]
    public void Deep_nesting_is_refused(string open, string close)
    {
        using var folder = new TemporaryTokenizer();
        var nested = string.Concat(Enumerable.Repeat(open, 200_000)) + "1" + string.Concat(Enumerable.Repeat(close, 200_000));
        folder.Write(Encoding.UTF8.GetBytes(nested));
        Refusal(folder.Folder);
        folder.Json["normalizer"] = "HERE";
        folder.Write(Encoding.UTF8.GetBytes(folder.Json.ToJsonString().Replace("\"HERE\"", nested, StringComparison.Ordinal)));
        Refusal(folder.Folder);
    }

    [Fact]
    public void A_file_cut_anywhere_is_refused()
    {
        var bytes = File.ReadAllBytes(Path.Combine(TestPaths.TinyR1, "tokenizer.json"));
        using var folder = new TemporaryTokenizer();
        for (var i = 0; i < 64; i++)
        {
            folder.Write(bytes[..(int)((long)bytes.Length * i / 64)]);
            Refusal(folder.Folder);
        }
    }

    [Fact]
    public void A_damaged_file_loads_or_is_refused_and_never_does_anything_else()
    {
        using var folder = new TemporaryTokenizer(
            json => json["added_tokens"] = new JsonArray(TemporaryTokenizer.Added(200, "<s>", special: true), TemporaryTokenizer.Added(201, "<n>", normalized: true)),
            """{"bos_token":"<s>","added_tokens_decoder":{"202":{"content":"<x>"}}}""");
        folder.Json["normalizer"] = TemporaryTokenizer.Parse("""{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}""");
        folder.Json["pre_tokenizer"] = TemporaryTokenizer.Parse("""{"type":"Split","pattern":{"Regex":"a(?=b|\\p{L}{1,3})|[^\\s]+?"},"behavior":"Isolated","invert":false}""");
        folder.Json["decoder"] = TemporaryTokenizer.Parse("""{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}""");
        var good = Encoding.UTF8.GetBytes(folder.Json.ToJsonString());
        var random = new Random(13);
        for (var round = 0; round < 300 * TokenizerFolders.FuzzFactor; round++)
        {
            var bytes = good.ToArray();
            for (var i = random.Next(1, 4); i > 0; i--)
            {
                var at = random.Next(bytes.Length);
                var from = random.Next(bytes.Length);
                var length = Math.Min(random.Next(1, 20), bytes.Length - Math.Max(at, from));
                if (random.Next(2) == 0)
                    bytes[at] = Damage[random.Next(Damage.Length)];
                else
                    bytes.AsSpan(from, length).CopyTo(bytes.AsSpan(at));
            }

            folder.Write(bytes);
            try
            {
                var tokenizer = folder.Load();
                var ids = tokenizer.Encode("the <s> abc<n> ☃");
                tokenizer.Decode(ids);
                tokenizer.GuardText("<s>", '\uFDD0');
            }
            catch (TokenizerException error)
            {
                Assert.Equal(TokenizerErrorKind.File, error.Kind);
            }
        }
    }

    [Fact]
    public void Ids_far_beyond_the_vocabulary_cost_no_memory()
    {
        using var folder = new TemporaryTokenizer();
        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var id in new[] { "16777215", "2147483647", "99999999999999999999" })
        {
            folder.Write(Encoding.UTF8.GetBytes($$$"""{"model":{"type":"BPE","vocab":{"a":0,"b":{{{id}}}},"merges":[]}}"""));
            Refusal(folder.Folder);
        }

        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 8 << 20);
    }

    private static ReadOnlySpan<byte> Damage => "{}[]\":,0-9eE\\ aN\0\u007F"u8;

    private static TokenizerException Refusal(string folder, string file = "tokenizer.json")
    {
        var watch = Stopwatch.StartNew();
        var error = Assert.Throws<TokenizerException>(() => Tokenizer.Load(folder));
        Assert.Equal(TokenizerErrorKind.File, error.Kind);
        Assert.StartsWith(file + ": ", error.Message, StringComparison.Ordinal);
        Assert.True(error.Message.Length < 500, error.Message);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(2), $"{watch.Elapsed}");
        return error;
    }
}
