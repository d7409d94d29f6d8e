using System.Text.Json.Nodes;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class EncodeTests
{
    [Theory]
    [InlineData("the abc", "the· ·abc")]
    [InlineData("☃x", "<unk>·x")]
    [InlineData("☃☃x☃", "<unk>·<unk>·x·<unk>")]
    [InlineData("", "")]
    public void Unknown_characters_become_the_unknown_token(string text, string expected)
    {
        using var folder = new TemporaryTokenizer();
        Assert.Equal(expected, TemporaryTokenizer.Show(folder.Load(), text));
    }

    [Fact]
    public void Adjacent_unknown_characters_fuse_where_asked()
    {
        using var folder = new TemporaryTokenizer(json => json["model"]!["fuse_unk"] = true);
        Assert.Equal("<unk>·x·<unk>", TemporaryTokenizer.Show(folder.Load(), "☃☃😀x☃"));
    }

    [Fact]
    public void Without_an_unknown_token_unknown_characters_vanish()
    {
        using var folder = new TemporaryTokenizer(json => json["model"]!["unk_token"] = null);
        Assert.Equal("th·x", TemporaryTokenizer.Show(folder.Load(), "th☃x"));
    }

    [Fact]
    public void Byte_fallback_is_for_characters_whose_bytes_are_all_there()
    {
        using var folder = new TemporaryTokenizer(json =>
        {
            json["model"]!["byte_fallback"] = true;
            foreach (var token in new[] { "<0xE2>", "<0x98>", "<0x83>" })
                json["model"]!["vocab"]![token] = json["model"]!["vocab"]!.AsObject().Count;
        });
        Assert.Equal("<0xE2>·<0x98>·<0x83>·<unk>", TemporaryTokenizer.Show(folder.Load(), "☃☄"));
    }

    [Fact]
    public void Ignoring_merges_takes_a_whole_word_from_the_vocabulary()
    {
        using var folder = new TemporaryTokenizer(json =>
        {
            json["model"]!["vocab"]!["xyz"] = json["model"]!["vocab"]!.AsObject().Count;
            json["model"]!["ignore_merges"] = true;
        });
        Assert.Equal("xyz", TemporaryTokenizer.Show(folder.Load(), "xyz"));
        Assert.Equal("a·x·y·z", TemporaryTokenizer.Show(folder.Load(), "axyz"));
    }

    [Fact]
    public void Merges_may_be_pairs()
    {
        using var folder = new TemporaryTokenizer(json => json["model"]!["merges"] = new JsonArray(
            new JsonArray("a", "b"), new JsonArray("ab", "c"), new JsonArray("t", "h"), new JsonArray("th", "e")));
        Assert.Equal("the·abc", TemporaryTokenizer.Show(folder.Load(), "theabc"));
    }

    [Fact]
    public void A_lone_surrogate_counts_as_the_replacement_character()
    {
        foreach (var family in new[] { TokenizerFolders.TinyR1, "llama-2-7b-hf" })
        {
            var tokenizer = TokenizerFolders.Load(family);
            Assert.Equal(tokenizer.Encode("a\uFFFDb\uFFFD"), tokenizer.Encode("a\uD800b\uDC00"));
            Assert.Equal(tokenizer.Encode("\uFFFD😀\uFFFD"), tokenizer.Encode("\uD83D😀\uD83D"));
        }
    }

    [Fact]
    public void The_template_of_the_post_processor_is_added_when_asked()
    {
        using var folder = new TemporaryTokenizer(json => json["post_processor"] = TemporaryTokenizer.Parse("""
            {"type":"Sequence","processors":[
              {"type":"ByteLevel","trim_offsets":true},
              {"type":"TemplateProcessing",
               "single":[{"SpecialToken":{"id":"[A]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[B]","type_id":0}}],
               "pair":[],"special_tokens":{"[A]":{"id":"[A]","ids":[1,2],"tokens":["x","y"]},"[B]":{"id":"[B]","ids":[3],"tokens":["z"]}}},
              {"type":"RobertaProcessing","sep":["s",5],"cls":["c",4],"trim_offsets":true,"add_prefix_space":true}]}
            """));
        var tokenizer = folder.Load();
        var x = tokenizer.TokenToId("x")!.Value;
        Assert.Equal([4, 1, 2, x, 3, 5], tokenizer.Encode("x"));
        Assert.Equal([x], tokenizer.Encode("x", addSpecialTokens: false));
        Assert.Equal([4, 1, 2, 3, 5], tokenizer.Encode(""));
    }

    [Fact]
    public void Many_threads_get_what_one_gets()
    {
        var tokenizer = TokenizerFolders.Load(TokenizerFolders.TinyR1);
        var random = new Random(9);
        var texts = Enumerable.Range(0, 300).Select(_ => RandomText.Next(random)).ToArray();
        var fresh = Tokenizer.Load(TestPaths.TinyR1);
        var expected = texts.Select(text => tokenizer.Encode(text)).ToArray();
        System.Threading.Tasks.Parallel.For(0, 4 * texts.Length, i => Assert.Equal(expected[i % texts.Length], fresh.Encode(texts[i % texts.Length])));
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.All), MemberType = typeof(TokenizerFolders))]
    public void A_long_text_without_a_break_takes_no_quadratic_time(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        const int Length = 1 << 17;
        var random = new Random(3);
        var letters = string.Create(Length, random, (span, r) => { foreach (ref var c in span) c = (char)('a' + r.Next(26)); });
        foreach (var text in new[] { letters, new string(' ', Length) })
        {
            var watch = System.Diagnostics.Stopwatch.StartNew();
            var ids = tokenizer.Encode(text, addSpecialTokens: false);
            // An optimised build takes a tenth of a second.
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"{watch.Elapsed}");
            Assert.Equal(text, tokenizer.Decode(ids));
        }
    }
}
