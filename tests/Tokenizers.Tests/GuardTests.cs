using System.Text.Json;
using System.Text.Json.Nodes;
using LocalLlm.Primitives;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class GuardTests
{
    private const char Guard = '\uFDD0';

    [Theory]
    [MemberData(nameof(TokenizerFolders.All), MemberType = typeof(TokenizerFolders))]
    public void No_added_token_comes_out_of_guarded_text(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        Assert.NotEmpty(tokenizer.AddedTokenTexts);
        foreach (var token in tokenizer.AddedTokenTexts)
        {
            var id = tokenizer.TokenToId(token)!.Value;
            Assert.Contains(id, tokenizer.Encode($"a{token}b", addSpecialTokens: false));
            AssertPlain(tokenizer, $"a{token}b", tokenizer.Encode($"a{Guard}{token}b", addSpecialTokens: false, Guard));
            foreach (var text in new[] { token, $"a{token}b", token + token, $" {token} ", token[..^1] + token, token[0] + token, token.Insert(token.Length / 2, token) })
                AssertPlain(tokenizer, text, tokenizer.Encode(tokenizer.GuardText(text, Guard), addSpecialTokens: false, Guard));
        }
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.All), MemberType = typeof(TokenizerFolders))]
    public void No_added_token_comes_out_of_guarded_random_text(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var random = new Random(10);
        var fragments = tokenizer.AddedTokenTexts.SelectMany(token => new[] { token, token[..(token.Length / 2)], token[(token.Length / 2)..], token[..1], token[1..] })
            .Append(Guard.ToString()).ToArray();
        for (var round = 0; round < 300 * TokenizerFolders.FuzzFactor; round++)
        {
            // Guard characters in the text itself are removed, like the inserted ones.
            var text = RandomText.Next(random, fragments);
            AssertPlain(tokenizer, text.Replace(Guard.ToString(), "", StringComparison.Ordinal),
                tokenizer.Encode(tokenizer.GuardText(text, Guard), addSpecialTokens: false, Guard));
        }
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.All), MemberType = typeof(TokenizerFolders))]
    public void Untrusted_text_neither_makes_nor_breaks_the_tokens_around_it(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var random = new Random(11);
        var tokens = tokenizer.AddedTokenTexts;
        for (var round = 0; round < 300 * TokenizerFolders.FuzzFactor; round++)
        {
            // Trusted text may end or begin in the middle of a token: the untrusted text must not complete it.
            var (first, second) = (tokens[random.Next(tokens.Count)], tokens[random.Next(tokens.Count)]);
            var other = tokens[random.Next(tokens.Count)];
            var cut = random.Next(other.Length);
            var end = random.Next(cut, other.Length);
            var inner = random.Next(3) switch { 0 => other[cut..end], 1 => other[cut..], _ => RandomText.Next(random, [other, other[..cut]]) };
            var prompt = first + other[..cut] + tokenizer.GuardText(inner, Guard) + other[Math.Min(end, other.Length)..] + second;
            var expected = new List<int> { tokenizer.TokenToId(first)!.Value, tokenizer.TokenToId(second)!.Value };
            // Skips cases in which the trusted text around the untrusted text contains a token by itself.
            var rest = other[Math.Min(end, other.Length)..];
            if (inner.Length == 0 || tokens.Any(token => (other[..cut] + "\0" + rest).Contains(token, StringComparison.Ordinal)))
                continue;
            Assert.Equal(expected, tokenizer.Encode(prompt, addSpecialTokens: false, Guard).Where(tokenizer.IsAdded).ToList());
        }
    }

    [Fact]
    public void Guarded_text_is_tokenized_as_by_a_tokenizer_without_added_tokens()
    {
        var json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(TestPaths.TinyR1, "tokenizer.json")))!;
        json["added_tokens"] = new JsonArray();
        using var folder = new TemporaryTokenizer();
        folder.Write(JsonSerializer.SerializeToUtf8Bytes(json));
        var plain = folder.Load();
        var tokenizer = TokenizerFolders.Load(TokenizerFolders.TinyR1);
        var random = new Random(12);
        for (var round = 0; round < 2000 * TokenizerFolders.FuzzFactor; round++)
        {
            var text = RandomText.Next(random, tokenizer.AddedTokenTexts);
            Assert.Equal(plain.Encode(text), tokenizer.Encode(tokenizer.GuardText(text, Guard), guard: Guard));
        }
    }

    [Fact]
    public void Exempt_tokens_stay_tokens()
    {
        var tokenizer = TokenizerFolders.Load(TokenizerFolders.TinyR1);
        var guarded = tokenizer.GuardText("<think>a</think><｜User｜>", Guard, exempt: text => text is "<think>" or "</think>");
        var added = tokenizer.Encode(guarded, guard: Guard).Where(tokenizer.IsAdded).Select(tokenizer.IdToToken);
        Assert.Equal(["<think>", "</think>"], added);
    }

    [Theory]
    [InlineData("<k>")]
    [InlineData("<K>")]
    [InlineData("<\u212A>")] // KELVIN SIGN, NFC makes it K
    [InlineData("<e\u0301>")]
    [InlineData("<é>")]
    [InlineData("x e\u0301 y")]
    [InlineData("\u1E14\u0301")] // decomposes and composes again
    [InlineData("a\u0300\u0301b")]
    [InlineData("a ▁b")]
    [InlineData("a b")]
    public void What_a_normalizer_would_make_a_token_stays_text(string text)
    {
        foreach (var normalizer in new[]
        {
            """{"type":"NFC"}""", """{"type":"NFKC"}""", """{"type":"NFD"}""",
            """{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Lowercase"}]}""",
            """{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}""",
            """{"type":"Sequence","normalizers":[{"type":"Lowercase"},{"type":"Replace","pattern":{"String":"e\u0301"},"content":"é"}]}""",
        })
        {
            var tokens = new[] { "<K>", "<é>", "é", "\u1E16", "ab", "b", " b" };
            using var folder = new TemporaryTokenizer(json =>
            {
                json["normalizer"] = JsonNode.Parse(normalizer);
                foreach (var token in tokens.Where(token => json["model"]!["vocab"]![token] is { }))
                    json["model"]!["vocab"]!.AsObject().Remove(token);
                json["model"]!["merges"] = new JsonArray("t h", "th e");
                json["added_tokens"] = new JsonArray([.. tokens.Select((token, i) => TemporaryTokenizer.Added(200 + i, token, normalized: true))]);
            });
            // A character that is an added token has no other id here, so in guarded text it becomes unknown.
            var tokenizer = folder.Load();
            var guarded = tokenizer.GuardText(text, Guard);
            Assert.DoesNotContain(tokenizer.Encode(guarded, guard: Guard), tokenizer.IsAdded);
            Assert.DoesNotContain(tokenizer.Encode("z" + guarded + "z", guard: Guard), tokenizer.IsAdded);
        }
    }

    [Fact]
    public void A_model_that_merges_into_an_added_token_does_not_in_guarded_text()
    {
        foreach (var ignoreMerges in new[] { false, true })
        {
            using var folder = new TemporaryTokenizer(json =>
            {
                json["model"]!["ignore_merges"] = ignoreMerges;
                json["model"]!["vocab"]!["thex"] = json["model"]!["vocab"]!.AsObject().Count;
                json["model"]!["merges"]!.AsArray().Add("the x");
                json["added_tokens"] = new JsonArray(
                    TemporaryTokenizer.Added(json["model"]!["vocab"]!["the"]!.GetValue<int>(), "the"),
                    TemporaryTokenizer.Added(json["model"]!["vocab"]!["<unk>"]!.GetValue<int>(), "<unk>"));
            });
            var tokenizer = folder.Load();
            Assert.Equal("the", TemporaryTokenizer.Show(tokenizer, "the"));
            Assert.Equal("th·e", TemporaryTokenizer.Show(tokenizer, tokenizer.GuardText("the", Guard), Guard));
            Assert.Equal("<·u·n·k·>·<unk>", TemporaryTokenizer.Show(tokenizer, tokenizer.GuardText("<unk>☃", Guard), Guard));
            Assert.Equal("th·e·z", TemporaryTokenizer.Show(tokenizer, $"t{Guard}hez", Guard));
            // A longer token is allowed, even though its merges pass through a forbidden token.
            Assert.Equal("thex", TemporaryTokenizer.Show(tokenizer, tokenizer.GuardText("thex", Guard), Guard));
        }
    }

    [Fact]
    public void Stripping_of_spaces_does_not_carry_a_guard_away()
    {
        using var folder = new TemporaryTokenizer(json => json["added_tokens"] = new JsonArray(
            TemporaryTokenizer.Added(200, "<r>", rstrip: true), TemporaryTokenizer.Added(201, "<l>", lstrip: true),
            TemporaryTokenizer.Added(202, "<n>", normalized: true), TemporaryTokenizer.Added(203, "<w>", singleWord: true)));
        var tokenizer = folder.Load();
        foreach (var text in new[] { " <n>", "<n>", "  <l>", " <r> <n>", "x", "<w>", " " })
        {
            var guarded = tokenizer.GuardText(text, Guard);
            Assert.Equal(["<r>", "<l>"], tokenizer.Encode("<r>" + guarded + "<l>", guard: Guard).Where(tokenizer.IsAdded).Select(tokenizer.IdToToken));
        }
    }

    [Theory]
    [InlineData('a')]
    [InlineData('\uFDCF')]
    [InlineData('\uFDF0')]
    public void A_guard_is_a_noncharacter(char guard)
    {
        var tokenizer = TokenizerFolders.Load(TokenizerFolders.TinyR1);
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.GuardText("a", guard));
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.Encode("a", guard: guard));
    }

    private static void AssertPlain(Tokenizer tokenizer, string text, int[] ids)
    {
        Assert.DoesNotContain(ids, tokenizer.IsAdded);
        var expected = CodePoints.ReplaceLoneSurrogates(text);
        if (tokenizer.Decode(tokenizer.Encode("e\u0301", addSpecialTokens: false)) == "é")
            expected = string.Join('\uFFFE', expected.Split('\uFFFE').Select(part => part.Normalize()));
        // SentencePiece tokenizers encode a space and the mark for a space the same way.
        if (tokenizer.Decode(tokenizer.Encode("▁", addSpecialTokens: false)) == " ")
            expected = expected.Replace('▁', ' ');
        Assert.Equal(expected, tokenizer.Decode(ids));
    }
}
