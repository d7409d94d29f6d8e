using System.Text;
using System.Text.Json.Nodes;
using LocalLlm.Primitives;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

/// <summary>The Unigram model with a vocabulary of the tests; the expected tokens come from Hugging Face's tokenizers.</summary>
public class UnigramTests
{
    private const char Guard = '\uFDD0';

    [Theory]
    [InlineData("", "")]
    [InlineData(" ", "▁")]
    [InlineData("abc", "▁abc")]
    [InlineData("c abc", "▁·c·▁abc")]
    [InlineData("cabc", "▁·c·abc")] // abc scores as much as ab + c and a + bc; of equal paths, the one with the longest last piece wins
    [InlineData("cabbc", "▁·c·ab·bc")]
    [InlineData("X☃☄X", "▁·X·<unk>·X")]
    [InlineData("☃ ☃", "▁·<unk>·▁·<unk>")]
    [InlineData("<s>a", "<s>·▁a")]
    [InlineData("a<unk>☃", "▁a·<unk>·▁·<unk>")]
    [InlineData("😀中", "▁·😀·中")]
    public void The_path_with_the_best_score_is_taken(string text, string expected)
    {
        using var folder = TemporaryUnigram.Create();
        Assert.Equal(expected, TemporaryTokenizer.Show(folder.Load(), text));
    }

    [Fact]
    public void A_nul_is_a_character_like_others()
    {
        using var folder = TemporaryUnigram.Create();
        Assert.Equal("▁a·<unk>·b", TemporaryTokenizer.Show(folder.Load(), "a\0b"));
        using var known = TemporaryUnigram.Create(null, ("\0", -4));
        Assert.Equal("▁a·\0·b", TemporaryTokenizer.Show(known.Load(), "a\0b"));
    }

    [Fact]
    public void Unknown_text_that_is_a_piece_as_a_whole_is_that_piece()
    {
        // With every score far above zero, two unknown characters score more than one piece.
        using var folder = TemporaryUnigram.Create(json => json["model"]!["vocab"] = TemporaryUnigram.Vocabulary(
            [.. TemporaryUnigram.Pieces.Select(p => (p.Piece, p.Score + 100)), ("☃☄", 95)]));
        Assert.Equal("▁·☃☄·X·<unk>", TemporaryTokenizer.Show(folder.Load(), "☃☄X☃☃"));
    }

    [Fact]
    public void Unknown_text_becomes_bytes_where_all_of_them_are_there()
    {
        using var folder = TemporaryUnigram.Create(
            json => json["model"]!["byte_fallback"] = true, new[] { "<0xE2>", "<0x98>", "<0x83>" }.Select(piece => (piece, -9.0)));
        Assert.Equal("▁·<0xE2>·<0x98>·<0x83>·<0xE2>·<0x98>·<0x83>·a", TemporaryTokenizer.Show(folder.Load(), "☃☃a"));
        Assert.Equal("▁·<unk>·a", TemporaryTokenizer.Show(folder.Load(), "☃☄a"));
    }

    [Fact]
    public void A_file_of_the_first_versions_is_known_by_its_list()
    {
        using var folder = TemporaryUnigram.Create(json => json["model"]!.AsObject().Remove("type"));
        Assert.Equal("▁abc", TemporaryTokenizer.Show(folder.Load(), "abc"));
    }

    [Theory]
    [InlineData("<s>", "▁·<·s·>")]
    [InlineData("a</s>b", "▁a·<·/·s·>·b")]
    [InlineData("<unk>", "▁·<·u·n·k·>")]
    [InlineData("＜s＞", "▁·<·s·>")] // full-width: not a token, but normalized to a token's text
    [InlineData("<unk>☃<unk>", "▁·<·u·n·k·>·<unk>·<·u·n·k·>")]
    public void Control_pieces_in_guarded_text_stay_text(string text, string expected)
    {
        using var folder = TemporaryUnigram.Create(json => json["normalizer"] = TemporaryTokenizer.Parse("""{"type":"NFKC"}"""));
        var tokenizer = folder.Load();
        Assert.Equal(expected, TemporaryTokenizer.Show(tokenizer, tokenizer.GuardText(text, Guard), Guard));
        Assert.Equal(text.Normalize(NormalizationForm.FormKC).Replace("☃", "<unk>", StringComparison.Ordinal), tokenizer.Decode(tokenizer.Encode(tokenizer.GuardText(text, Guard), guard: Guard)));
    }

    [Fact]
    public void A_control_piece_of_unknown_characters_stays_unknown_in_guarded_text()
    {
        using var folder = TemporaryUnigram.Create(json => json["added_tokens"]!.AsArray().Add(
            TemporaryTokenizer.Added(TemporaryUnigram.Pieces.Length, "☃☄", special: true)), ("☃☄", 0));
        var tokenizer = folder.Load();
        Assert.Equal("☃☄", TemporaryTokenizer.Show(tokenizer, "☃☄"));
        Assert.Equal("▁·<unk>", TemporaryTokenizer.Show(tokenizer, tokenizer.GuardText("☃☄", Guard), Guard));
        Assert.Equal("▁·<unk>·a", TemporaryTokenizer.Show(tokenizer, tokenizer.GuardText("☃☄a", Guard), Guard));
    }

    [Fact]
    public void The_best_path_is_the_best_of_all_paths()
    {
        var random = new Random(21);
        for (var round = 0; round < 200 * TokenizerFolders.FuzzFactor; round++)
        {
            var pieces = new Dictionary<string, double> { ["?"] = -1 };
            for (var i = 0; i < 12; i++)
                pieces[string.Concat(Enumerable.Range(0, random.Next(1, 5)).Select(_ => "abc"[random.Next(3)]))] = -random.Next(1, 40) / 4.0;
            using var folder = TemporaryUnigram.Create(json =>
            {
                json["added_tokens"] = new JsonArray();
                json["pre_tokenizer"] = null;
                json["model"] = new JsonObject
                {
                    ["type"] = "Unigram", ["unk_id"] = 0, ["vocab"] = TemporaryUnigram.Vocabulary(pieces.Select(p => (p.Key, p.Value))),
                };
            });
            var tokenizer = folder.Load();
            var text = string.Concat(Enumerable.Range(0, random.Next(1, 9)).Select(_ => "abc"[random.Next(3)]));
            var unknown = pieces.Values.Min() - 10;
            var ids = tokenizer.Encode(text);
            // Fused unknown tokens hide their number; that the model chose them shows only that they score no worse.
            if (ids.Contains(0))
                Assert.True(Best(text, pieces, double.NegativeInfinity) <= Best(text, pieces, unknown), text);
            else
                Assert.Equal(Best(text, pieces, unknown), ids.Sum(id => pieces[tokenizer.IdToToken(id)!]));
        }
    }

    [Fact]
    public void Any_text_at_all_is_tokenized_and_decoded()
    {
        using var folder = TemporaryUnigram.Create(json => json["normalizer"] = new JsonObject
        {
            ["type"] = "Precompiled", ["precompiled_charsmap"] = TemporaryUnigram.CharacterMap(("\r", " "), ("Ａ", "a"), ("e\u0301", "é")),
        });
        var tokenizer = folder.Load();
        var random = new Random(22);
        for (var round = 0; round < 2000 * TokenizerFolders.FuzzFactor; round++)
        {
            var text = string.Create(random.Next(100), random, static (span, r) =>
            {
                foreach (ref var c in span)
                    c = r.Next(3) switch { 0 => (char)r.Next(0x10000), 1 => (char)r.Next(0xD800, 0xE000), _ => (char)r.Next(0x80) };
            });
            var ids = tokenizer.Encode(text);
            Assert.Equal(ids, tokenizer.Encode(CodePoints.ReplaceLoneSurrogates(text)));
            var detokenizer = new IncrementalDetokenizer(tokenizer, skipSpecialTokens: true);
            var decoded = new StringBuilder();
            foreach (var id in ids)
                decoded.Append(detokenizer.Append(id));
            Assert.Equal(tokenizer.Decode(ids, skipSpecialTokens: true), decoded.Append(detokenizer.Flush()).ToString());
            tokenizer.Encode(tokenizer.GuardText(text, Guard), guard: Guard);
        }
    }

    private static double Best(string text, Dictionary<string, double> pieces, double unknown) => text.Length == 0
        ? 0
        : Enumerable.Range(1, text.Length).Max(length => (pieces.TryGetValue(text[..length], out var score) ? score : length == 1 ? unknown : double.NegativeInfinity)
            + Best(text[length..], pieces, unknown));
}
