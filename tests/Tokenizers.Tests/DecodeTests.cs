using System.Text;
using System.Text.Json.Nodes;
using LocalLlm.Primitives;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class DecodeTests
{
    [Theory]
    [MemberData(nameof(TokenizerFolders.All), MemberType = typeof(TokenizerFolders))]
    public void Text_is_what_the_tokens_bytes_spell(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var source = new IdSource(tokenizer);
        var sentencePiece = family is "llama-2-7b-hf" or "stories260K";
        var random = new Random(6);
        for (var round = 0; round < 300 * TokenizerFolders.FuzzFactor; round++)
        {
            var ids = source.Next(random);
            foreach (var skip in new[] { false, true })
            {
                var kept = ids.Where(id => !skip || !tokenizer.IsSpecial(id)).ToArray();
                var expected = sentencePiece ? BySentencePiece(tokenizer, kept) : ByBytes(tokenizer, kept);
                Assert.Equal(expected, tokenizer.Decode(ids, skip));
            }
        }
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.All), MemberType = typeof(TokenizerFolders))]
    public void Text_that_comes_id_by_id_is_the_text_of_all_ids(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var source = new IdSource(tokenizer);
        var random = new Random(7);
        for (var round = 0; round < 300 * TokenizerFolders.FuzzFactor; round++)
        {
            var ids = round % 2 == 0 ? source.Next(random) : tokenizer.Encode(RandomText.Next(random, tokenizer.AddedTokenTexts));
            foreach (var skip in new[] { false, true })
            {
                var detokenizer = new IncrementalDetokenizer(tokenizer, skip);
                var text = new StringBuilder();
                foreach (var id in ids)
                {
                    var delta = detokenizer.Append(id);
                    Assert.Equal(delta, CodePoints.ReplaceLoneSurrogates(delta));
                    text.Append(delta);
                }

                Assert.Equal(tokenizer.Decode(ids, skip), text.Append(detokenizer.Flush()).ToString());
            }
        }
    }

    [Fact]
    public void A_character_is_given_when_it_is_whole()
    {
        var tokenizer = TokenizerFolders.Load(TokenizerFolders.TinyR1);
        var ids = tokenizer.Encode("😀");
        Assert.True(ids.Length > 1);
        var detokenizer = new IncrementalDetokenizer(tokenizer, skipSpecialTokens: true);
        Assert.All(ids[..^1], id => Assert.Equal("", detokenizer.Append(id)));
        Assert.Equal("😀", detokenizer.Append(ids[^1]));
        Assert.Equal("", detokenizer.Append(ids.AsSpan(0, 1)));
        Assert.Equal("\uFFFD", detokenizer.Flush());
    }

    [Theory]
    [InlineData("<0xE4> <0xB8> <0xAD>", "中")]
    [InlineData("<0xE4> <0xB8> x", "\uFFFD\uFFFDx")]
    [InlineData("<0xE4> <0xB8> <0xAD> <0xFF>", "\uFFFD\uFFFD\uFFFD\uFFFD")]
    [InlineData("▁a ▁b", "a b")]
    [InlineData("▁ ▁ a", " a")]
    [InlineData("<s> ▁a </s>", "<s> a</s>")]
    public void Sentence_pieces_give_spaces_and_bytes(string tokens, string expected)
    {
        var tokenizer = TokenizerFolders.Load("llama-2-7b-hf");
        Assert.Equal(expected, tokenizer.Decode(tokens.Split(' ').Select(token => tokenizer.TokenToId(token)!.Value)));
    }

    [Theory]
    [InlineData("""{"type":"Strip","content":"x","start":1,"stop":2}""", "xxaxxx x", "xax")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":"x","start":1,"stop":2}]}""", "xxaxxx x", "xaxx")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":"x","start":9,"stop":0}]}""", "xx xx", "")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"String":"aba"},"content":"-"}]}""", "a b ab aabaa", "-ba-a")]
    [InlineData("""{"type":"Replace","pattern":{"String":"ab"},"content":"-"}""", "ab a b", "-ab")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}""", "▁a▁b ▁c", "ab c")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}""", "▁a▁b ▁c", " a b c")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Metaspace"},{"type":"Fuse"},{"type":"Strip","content":" ","start":0,"stop":1}]}""", "▁a ▁ ▁", "a ")]
    [InlineData("null", "a b", "a b")]
    public void Each_decoder_does_what_the_reference_does(string json, string tokens, string expected)
    {
        using var folder = new TemporaryTokenizer(file =>
        {
            file["decoder"] = JsonNode.Parse(json);
            foreach (var token in tokens.Split(' ').Where(token => file["model"]!["vocab"]![token] is null))
                file["model"]!["vocab"]![token] = file["model"]!["vocab"]!.AsObject().Count;
        });
        var tokenizer = folder.Load();
        Assert.Equal(expected, tokenizer.Decode(tokens.Split(' ').Select(token => tokenizer.TokenToId(token)!.Value)));
    }

    [Theory]
    [InlineData("""{"type":"WordPiece"}""", "decoder.type is \"WordPiece\"")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]}""", "decoder.decoders[1].type")]
    [InlineData("""{"type":"Strip","content":"ab","start":1,"stop":0}""", "decoder.content")]
    [InlineData("""{"type":"Strip","content":"a","start":-1,"stop":0}""", "decoder.start")]
    public void Unsupported_settings_are_refused_by_name(string json, string named)
    {
        using var folder = new TemporaryTokenizer(file => file["decoder"] = JsonNode.Parse(json));
        var error = Assert.Throws<TokenizerException>(folder.Load);
        Assert.Equal(TokenizerErrorKind.File, error.Kind);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(4088)]
    [InlineData(int.MaxValue)]
    public void An_id_out_of_range_is_an_error_that_names_it(int id)
    {
        var tokenizer = TokenizerFolders.Load(TokenizerFolders.TinyR1);
        Assert.Equal(4088, tokenizer.VocabularySize);
        var error = Assert.Throws<TokenizerException>(() => tokenizer.Decode([1, id]));
        Assert.Equal(TokenizerErrorKind.TokenId, error.Kind);
        Assert.Contains($"{id}", error.Message, StringComparison.Ordinal);
        Assert.Contains("4087", error.Message, StringComparison.Ordinal);
        Assert.Null(tokenizer.IdToToken(id));
        Assert.True(tokenizer.IdToBytes(id).IsEmpty);
    }

    private static string ByBytes(Tokenizer tokenizer, int[] ids) =>
        Encoding.UTF8.GetString([.. ids.SelectMany(id => tokenizer.IdToBytes(id).ToArray())]);

    // SentencePiece's rule: replace ▁ by a space, decode each run of byte tokens as a whole or not at all, then remove one leading space.
    private static string BySentencePiece(Tokenizer tokenizer, int[] ids)
    {
        var parts = new List<string>();
        var run = new List<byte>();
        foreach (var token in ids.Select(tokenizer.IdToToken).Append(""))
        {
            if (token!.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal))
            {
                run.Add(Convert.ToByte(token[3..5], 16));
                continue;
            }

            if (run.Count > 0)
            {
                var text = Encoding.UTF8.GetString([.. run]);
                parts.Add(Encoding.UTF8.GetBytes(text).SequenceEqual(run) ? text : new string('\uFFFD', run.Count));
                run.Clear();
            }

            parts.Add(token.Replace('▁', ' '));
        }

        var all = string.Concat(parts);
        return all.StartsWith(' ') ? all[1..] : all;
    }

    /// <summary>Random ids; successive byte tokens form incomplete characters and invalid sequences.</summary>
    private sealed class IdSource(Tokenizer tokenizer)
    {
        private readonly int[] _bytes = [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(id => tokenizer.IdToBytes(id) is [>= 0x80])];
        private readonly int[] _added = [.. tokenizer.AddedTokenTexts.Select(text => tokenizer.TokenToId(text)!.Value)];
        private readonly int[] _characters = tokenizer.Encode("😀中é👩‍👧 ☃", addSpecialTokens: false);

        public int[] Next(Random random) => [.. Enumerable.Range(0, random.Next(30)).SelectMany(_ => random.Next(6) switch
        {
            0 => [_added[random.Next(_added.Length)]],
            1 or 2 => [_bytes[random.Next(_bytes.Length)]],
            3 => _characters[random.Next(_characters.Length)..],
            _ => new[] { random.Next(tokenizer.VocabularySize) },
        })];
    }
}
