using System.Text.Json;
using LocalLlm.Primitives;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

/// <summary>SentencePiece's character map; the expected texts come from Hugging Face's tokenizers with the same map.</summary>
public class PrecompiledNormalizerTests
{
    private static readonly string SomeMap = TemporaryUnigram.CharacterMap(
        ("A", "a"), ("\r", " "), ("\u0001", ""), ("Ａ", "a"), ("ｱ", "ア"), ("e\u0301", "é"), ("²", "2"), ("ﷺ", "صلى الله عليه وسلم"), ("xy", "z"), ("😀", ":)"));

    [Theory]
    [InlineData("", "")]
    [InlineData("bAb", "bab")]
    [InlineData("a\u0001b", "ab")]
    [InlineData("Ａ😀ﷺ", "a:)صلى الله عليه وسلم")]
    [InlineData("e\u0301", "é")]
    [InlineData("xy", "xy")] // two clusters; the map has neither of them
    [InlineData("\r\nb", " b")] // one cluster: it becomes what its beginning becomes
    [InlineData("\r\rb\n", "  b\n")]
    [InlineData("ｱ\u0301", "ア")] // five bytes: one cluster, the accent is lost
    [InlineData("ｱ\u0301\u0301", "ア\u0301\u0301")] // seven bytes: character by character
    [InlineData("ｱ\u3099", "ア\u3099")] // six bytes: character by character
    [InlineData("A\u0301\u0301", "a")]
    [InlineData("A\u0301\u0301\u0301", "a\u0301\u0301\u0301")]
    [InlineData("e\u0301\u0301", "é")]
    [InlineData("\u0600²", "\u06002")] // a prepended mark begins the cluster
    [InlineData("A\0\r\0", "a\0 \0")] // the map never matches a NUL
    [InlineData("²\u200D²", "22")]
    public void A_short_cluster_becomes_what_the_map_has_for_its_beginning(string text, string expected) =>
        Assert.Equal(expected, Read(SomeMap).Normalize(text));

    [Fact]
    public void Equal_ends_of_keys_may_be_shared()
    {
        // a and b lead to the same node, whose value is the text at 0.
        var units = new uint[768];
        units[0] = 256u << 10;
        units[256 ^ 'a'] = 'a' | 1u << 8 | (uint)(256 ^ 'a' ^ 512) << 10;
        units[256 ^ 'b'] = 'b' | 1u << 8 | (uint)(256 ^ 'b' ^ 512) << 10;
        units[512] = 1u << 31;
        Assert.Equal("ZZc", Read(TemporaryUnigram.Map(units, "Z"u8.ToArray())).Normalize("abc"));
    }

    [Fact]
    public void A_map_that_is_damaged_anywhere_is_read_or_refused()
    {
        var good = Convert.FromBase64String(SomeMap);
        var random = new Random(23);
        for (var round = 0; round < 500 * TokenizerFolders.FuzzFactor; round++)
        {
            var bytes = good[..(random.Next(4) == 0 ? random.Next(good.Length) : good.Length)];
            for (var i = random.Next(8); i > 0 && bytes.Length > 0; i--)
            {
                // Most of the map is empty, so change only units that are in use.
                var at = random.Next(bytes.Length);
                while (at < bytes.Length - 1 && bytes[at] == 0)
                    at++;
                bytes[at] ^= (byte)(1 << random.Next(8));
            }

            try
            {
                Read(Convert.ToBase64String(bytes)).Normalize("bA\u0001Ａｱ\u0301e\u0301²ﷺxy😀\r\n\0" + RandomText.Next(random));
            }
            catch (UntrustedFileException error)
            {
                Assert.StartsWith("tokenizer.json: normalizer.precompiled_charsmap ", error.Message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("3", "is of kind Number")]
    [InlineData("null", "is absent or null")]
    [InlineData("\"\"", "is 0 bytes long")]
    [InlineData("\"A\"", "is no base64")]
    [InlineData("\"%%%%\"", "is no base64")]
    [InlineData("\"AAA=\"", "is 2 bytes long")]
    [InlineData("\"AAAAAA==\"", "has a trie of 0 units")]
    [InlineData("\"/////w==\"", "claims a trie of 4294967295 bytes, but 0 follow")]
    [InlineData("\"AAQAAAAA\"", "claims a trie of 1024 bytes, but 2 follow")]
    public void An_invalid_character_map_is_refused(string json, string named) => Assert.Contains(named, Refusal(json), StringComparison.Ordinal);

    [Fact]
    public void A_trie_that_leads_astray_is_refused()
    {
        var units = new uint[512];
        units[0] = 256u << 10;
        units[256 ^ 'a'] = 'a' | (uint)('a') << 10; // back to itself
        Assert.Contains("round in a circle", Refusal(units), StringComparison.Ordinal);
        units[256 ^ 'a'] = 'a' | 0x1FFFFFu << 10;
        Assert.Contains("that leads to unit", Refusal(units), StringComparison.Ordinal);
        units[256 ^ 'a'] = 'a' | 1u << 9 | 0x1FFFFFu << 10;
        Assert.Contains("that leads to unit", Refusal(units), StringComparison.Ordinal);
        Assert.Contains("that leads to unit", Refusal(new uint[255]), StringComparison.Ordinal);
        Assert.Contains("1 to 262144 were expected", Refusal(new uint[262145]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_value_that_points_to_no_text_is_refused()
    {
        foreach (var (value, texts, named) in new (uint Value, byte[] Texts, string Named)[]
        {
            (4u, "abc"u8.ToArray(), "points to the text at byte 4 of 3"),
            ((uint)int.MaxValue, "abc"u8.ToArray(), "points to the text at byte 2147483647 of 3"),
            (1u, "é\0"u8.ToArray(), "points to byte 1, where no valid UTF-8 text begins"),
            (0u, [0xFF], "no valid UTF-8"),
            (0u, [.. Enumerable.Repeat((byte)'x', 200)], "has a replacement of 200 bytes; at most 128"),
        })
        {
            var units = new uint[768];
            units[0] = 256u << 10;
            units[256 ^ 'a'] = 'a' | 1u << 8 | (uint)(256 ^ 'a' ^ 512) << 10;
            units[512] = 1u << 31 | value;
            Assert.Contains(named, Refusal($"\"{TemporaryUnigram.Map(units, texts)}\""), StringComparison.Ordinal);
        }
    }

    private static string Refusal(uint[] units) => Refusal($"\"{TemporaryUnigram.Map(units, [])}\"");

    private static string Refusal(string json)
    {
        var error = Assert.Throws<UntrustedFileException>(() => ReadJson(json));
        Assert.StartsWith("tokenizer.json: normalizer.precompiled_charsmap ", error.Message, StringComparison.Ordinal);
        return error.Message;
    }

    private static Normalizer Read(string map) => ReadJson($"\"{map}\"");

    private static Normalizer ReadJson(string json) => NormalizerReader.Read(new JsonField(
        "tokenizer.json", "normalizer", JsonDocument.Parse($$"""{"type":"Precompiled","precompiled_charsmap":{{json}}}""").RootElement))!;
}
