using System.Text.Json;
using LocalLlm.Primitives;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class PreTokenizerTests
{
    [Theory]
    [InlineData("Removed", false, "The|final|countdown")]
    [InlineData("Isolated", false, "The|-|final|-|-|countdown")]
    [InlineData("MergedWithPrevious", false, "The-|final-|-|countdown")]
    [InlineData("MergedWithNext", false, "The|-final|-|-countdown")]
    [InlineData("Contiguous", false, "The|-|final|--|countdown")]
    [InlineData("Removed", true, "-|-|-")]
    [InlineData("Isolated", true, "The|-|final|-|-|countdown")]
    [InlineData("MergedWithPrevious", true, "The|-final|-|-countdown")]
    public void Split_behaves_as_named(string behavior, bool invert, string expected) =>
        Assert.Equal(expected, Split(
            $$"""{"type":"Split","pattern":{"String":"-"},"behavior":"{{behavior}}","invert":{{(invert ? "true" : "false")}}}""", "The-final--countdown"));

    [Theory]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "a12b𝟏", "a|1|2|b|𝟏")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "a12b𝟏½", "a|12|b|𝟏½")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":true,"use_regex":true}""", "Hi  you're 1é", "ĠHi|Ġ|Ġyou|'re|Ġ1|Ã©")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}""", "Hi you\n", "HiĠyouĊ")]
    [InlineData("""{"type":"ByteLevel","use_regex":true,"add_prefix_space":false}""", "a \r\n b", "a|ĠčĊ|Ġb")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}""", "Hey  you", "▁Hey|▁|▁you")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":false}""", "Hey you", "Hey▁you")]
    [InlineData("""{"type":"Metaspace","replacement":"_","add_prefix_space":true}""", " a", "_a")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":" "},"behavior":"Removed","invert":false},{"type":"Metaspace","prepend_scheme":"first"}]}""", "a b", "▁a|b")]
    [InlineData("""{"type":"WhitespaceSplit"}""", "\u3000a \t b\u0085c\n", "a|b|c")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","replacement":"▁","add_prefix_space":true}]}""", " a b▁c", "▁a|▁b|▁c")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","prepend_scheme":"first"}]}""", "a b", "▁a|b")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"String":"b"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":true,"use_regex":false}]}""", "abc", "Ġa|Ġb|Ġc")]
    public void Each_pre_tokenizer_splits_as_the_reference_does(string json, string text, string expected) =>
        Assert.Equal(expected, Split(json, text));

    [Theory]
    [InlineData("""{"type":"Whitespace"}""", "pre_tokenizer.type is \"Whitespace\"")]
    [InlineData("""{"type":"Split","pattern":{"Regex":"\\p{Han}"},"behavior":"Isolated","invert":false}""", "\\p{Han}")]
    [InlineData("""{"type":"Split","pattern":{},"behavior":"Isolated","invert":false}""", "pre_tokenizer.pattern")]
    [InlineData("""{"type":"Split","pattern":{"String":"a"},"behavior":"Other","invert":false}""", "pre_tokenizer.behavior")]
    [InlineData("""{"type":"Split","pattern":{"String":"a"},"behavior":"Isolated","invert":1}""", "pre_tokenizer.invert")]
    public void Unsupported_settings_are_refused_by_name(string json, string named)
    {
        var error = Assert.Throws<UntrustedFileException>(() => Split(json, "a"));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    private static string Split(string json, string text)
    {
        var preTokenizer = PreTokenizerReader.Read(new JsonField("tokenizer.json", "pre_tokenizer", JsonDocument.Parse(json).RootElement))!;
        var split = preTokenizer.Split(PreTokenizedText.Whole(text, atStart: true));
        return string.Join('|', split.Pieces.Select(piece => split.Text.Slice(piece.Start, piece.Length).ToString()));
    }
}
