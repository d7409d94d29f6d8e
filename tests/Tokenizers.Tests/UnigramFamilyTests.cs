using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

/// <summary>Properties of whole tokenizers of the XLM-RoBERTa family.</summary>
public class UnigramFamilyTests
{
    private const char Guard = '\uFDD0';

    [Theory]
    [InlineData("bge-m3", 250002)]
    [InlineData("tiny-m3", 6000)]
    public void Sizes_and_special_tokens_are_those_of_the_family(string family, int size)
    {
        var tokenizer = TokenizerFolders.Load(family);
        Assert.Equal((size, 0, 1, 2, 3), (tokenizer.VocabularySize, tokenizer.BosTokenId, tokenizer.PadTokenId, tokenizer.EosTokenId, tokenizer.UnkTokenId));
        Assert.Equal([0, 1, 2, 3, size - 1], tokenizer.AllSpecialIds);
        Assert.All(Enumerable.Range(0, size), id => Assert.Equal(id, tokenizer.TokenToId(tokenizer.IdToToken(id)!)));
        Assert.Equal(" the"u8.ToArray(), tokenizer.IdToBytes(tokenizer.TokenToId("▁the")!.Value).ToArray());
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.Unigrams), MemberType = typeof(TokenizerFolders))]
    public void Special_tokens_stand_around_a_text_and_in_it_where_it_is_trusted(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var mask = tokenizer.VocabularySize - 1;
        Assert.Equal([0, 2], tokenizer.Encode(""));
        Assert.Equal([0, mask, 2], tokenizer.Encode("  <mask>")); // the mask token includes the space before it
        Assert.Equal([0, 2, 1, 3, 2], tokenizer.Encode("</s><pad><unk>"));
    }

    [Theory]
    [InlineData("bge-m3", "Hello, world", "Hello, world")]
    [InlineData("bge-m3", " two  spaces\tand\r\na line ", "two spaces and a line ")]
    [InlineData("bge-m3", "ＡＢＣ１２３ ﬁ e\u0301 ｱ 你好，世界。", "ABC123 fi é ア 你好,世界。")]
    [InlineData("bge-m3", "Ünïcödé Ελληνικά кириллица עברית العربية हिन्दी 한국어 日本語 😀", "Ünïcödé Ελληνικά кириллица עברית العربية हिन्दी 한국어 日本語 😀")]
    [InlineData("tiny-m3", "The weight of the telescope  is 841 kg.", "The weight of the telescope is 841 kg.")]
    public void Decoding_gives_the_normalized_text_back(string family, string text, string normalized)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var ids = tokenizer.Encode(text);
        Assert.Equal(normalized, tokenizer.Decode(ids, skipSpecialTokens: true));
        Assert.Equal(ids, tokenizer.Encode(normalized));
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.Unigrams), MemberType = typeof(TokenizerFolders))]
    public void What_was_decoded_is_encoded_to_the_same_ids(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var random = new Random(25);
        var words = Enumerable.Range(4, 2000).Select(id => tokenizer.IdToToken(id)!.Replace('▁', ' ')).Where(word => word.All(char.IsAsciiLetter)).ToArray();
        for (var round = 0; round < 300 * TokenizerFolders.FuzzFactor; round++)
        {
            var text = string.Join(' ', Enumerable.Range(0, random.Next(1, 20)).Select(_ => words[random.Next(words.Length)]));
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text), skipSpecialTokens: true));
        }
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.Unigrams), MemberType = typeof(TokenizerFolders))]
    public void Text_that_comes_id_by_id_is_the_text_of_all_ids(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var random = new Random(26);
        for (var round = 0; round < 300 * TokenizerFolders.FuzzFactor; round++)
        {
            var ids = tokenizer.Encode(RandomText.Next(random, tokenizer.AddedTokenTexts));
            var detokenizer = new IncrementalDetokenizer(tokenizer, skipSpecialTokens: true);
            var text = new StringBuilder();
            foreach (var id in ids)
                text.Append(detokenizer.Append(id));
            Assert.Equal(tokenizer.Decode(ids, skipSpecialTokens: true), text.Append(detokenizer.Flush()).ToString());
        }
    }

    [Fact]
    public void Guarded_text_is_tokenized_as_by_a_tokenizer_without_control_pieces()
    {
        var json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(TokenizerFolders.Folder("tiny-m3"), "tokenizer.json")))!;
        json["added_tokens"] = new JsonArray();
        foreach (var id in new[] { 0, 1, 2, 3, 5999 })
            json["model"]!["vocab"]![id]![0] = $"\U000F0000{id}"; // a character that the texts do not contain
        using var folder = new TemporaryTokenizer();
        folder.Write(JsonSerializer.SerializeToUtf8Bytes(json));
        var plain = folder.Load();
        var tokenizer = TokenizerFolders.Load("tiny-m3");
        var random = new Random(27);
        var fragments = tokenizer.AddedTokenTexts.SelectMany(token => new[] { token, token[..2], token[2..], "\uFF1C" + token[1..], " " + token }).ToArray();
        for (var round = 0; round < 2000 * TokenizerFolders.FuzzFactor; round++)
        {
            var text = RandomText.Next(random, fragments);
            Assert.Equal(plain.Encode(text), tokenizer.Encode(tokenizer.GuardText(text, Guard), guard: Guard));
        }
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.Unigrams), MemberType = typeof(TokenizerFolders))]
    public void A_token_in_guarded_text_is_its_text(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        foreach (var token in tokenizer.AddedTokenTexts)
        {
            var ids = tokenizer.Encode(tokenizer.GuardText($"a{token} b {token}", Guard), addSpecialTokens: false, Guard);
            Assert.DoesNotContain(ids, tokenizer.IsAdded);
            Assert.Equal($"a{token} b {token}", tokenizer.Decode(ids));
        }
    }
}
