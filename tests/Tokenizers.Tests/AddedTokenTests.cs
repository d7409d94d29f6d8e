using System.Text.Json.Nodes;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class AddedTokenTests
{
    [Theory]
    [InlineData("a<s>b", "a·<s>·b")]
    [InlineData("<s><s>", "<s>·<s>")]
    [InlineData("<<s>>", "<·<s>·>")]
    [InlineData("<s", "<·s")]
    [InlineData("a <mask> b", "a·<mask>· ·b")]
    [InlineData("a <end>  b", "a· ·<end>·b")]
    [InlineData("a <end> <mask>b", "a· ·<end>·<mask>·b")]
    [InlineData("x<tok><token>", "x·<tok>·<token>")]
    [InlineData("<s<s>", "<·s·<s>")]
    [InlineData("a cat.cat concat cats", "a· ·cat·.·cat· ·c·o·n·c·a·t· ·c·a·t·s")]
    [InlineData("cat_éa cat", "c·a·t·<unk>·é·a· ·cat")]
    public void Added_tokens_are_found_as_the_reference_finds_them(string text, string expected)
    {
        using var folder = new TemporaryTokenizer(json => json["added_tokens"] = new JsonArray(
            TemporaryTokenizer.Added(200, "<s>", special: true),
            TemporaryTokenizer.Added(201, "<mask>", lstrip: true),
            TemporaryTokenizer.Added(202, "<end>", rstrip: true),
            TemporaryTokenizer.Added(203, "<tok>"),
            TemporaryTokenizer.Added(204, "<token>"),
            TemporaryTokenizer.Added(205, "cat", singleWord: true)));
        Assert.Equal(expected, TemporaryTokenizer.Show(folder.Load(), text));
    }

    [Fact]
    public void The_longest_of_several_tokens_at_a_place_counts()
    {
        using var folder = new TemporaryTokenizer(json => json["added_tokens"] = new JsonArray(
            TemporaryTokenizer.Added(200, "ab"), TemporaryTokenizer.Added(201, "abcd"), TemporaryTokenizer.Added(202, "bc"), TemporaryTokenizer.Added(203, "a")));
        // "ab" is in the model's vocabulary as well, under another id.
        Assert.Throws<TokenizerException>(folder.Load);
        folder.Json["added_tokens"]![0]!["id"] = folder.Model["vocab"]!["ab"]!.GetValue<int>();
        folder.Json["added_tokens"]![3]!["id"] = folder.Model["vocab"]!["a"]!.GetValue<int>();
        folder.Write(System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(folder.Json));
        Assert.Equal("x·abcd·ab·c·e·a·c·bc", TemporaryTokenizer.Show(folder.Load(), "xabcdabceacbc"));
    }

    [Fact]
    public void Normalized_tokens_are_found_in_normalized_text_and_others_in_the_text_as_given()
    {
        using var folder = new TemporaryTokenizer(json =>
        {
            json["normalizer"] = TemporaryTokenizer.Parse("""{"type":"Lowercase"}""");
            json["added_tokens"] = new JsonArray(
                TemporaryTokenizer.Added(200, "<Day>", normalized: true), TemporaryTokenizer.Added(201, "<Raw>"));
        });
        var tokenizer = folder.Load();
        Assert.Equal("<Day>·<Day>·<Raw>·<·r·a·w·>", TemporaryTokenizer.Show(tokenizer, "<DAY><day><Raw><raw>"));
        // A normalised token is decoded from its normalised form.
        Assert.Equal("<day><Raw>", tokenizer.Decode([200, 201]));
    }

    [Fact]
    public void Between_tokens_the_normalizer_begins_anew()
    {
        var tokenizer = TokenizerFolders.Load("llama-2-7b-hf");
        Assert.Equal("<s>·▁Hi·</s>·▁x", TemporaryTokenizer.Show(tokenizer, "Hi</s>x"));
    }

    [Fact]
    public void The_configuration_names_special_tokens_and_adds_missing_ones()
    {
        using var folder = new TemporaryTokenizer(
            json => json["added_tokens"] = new JsonArray(TemporaryTokenizer.Added(200, "<s>", special: true)),
            """
            {"bos_token":"<s>","eos_token":{"__type":"AddedToken","content":"<e>"},"pad_token":null,"unk_token":"<unk>","model_max_length":1e30,
             "added_tokens_decoder":{"200":{"content":"<s>","special":false},"300":{"content":"<e>","special":true},"301":{"content":"<plain>"}}}
            """);
        var tokenizer = folder.Load();
        Assert.Equal((200, 300, null, tokenizer.TokenToId("<unk>")), (tokenizer.BosTokenId, tokenizer.EosTokenId, tokenizer.PadTokenId, tokenizer.UnkTokenId));
        Assert.Equal("<e>·<plain>", TemporaryTokenizer.Show(tokenizer, "<e><plain>"));
        Assert.Equal([200, 300], tokenizer.AllSpecialIds);
        Assert.Equal(["<s>", "<e>", "<plain>"], tokenizer.AddedTokenTexts);
        Assert.True(tokenizer.IsSpecial(200) && tokenizer.IsAdded(301) && !tokenizer.IsSpecial(301) && !tokenizer.IsAdded(0));
        Assert.Equal(302, tokenizer.VocabularySize);
        Assert.Equal("", tokenizer.Decode([250]));
        Assert.Null(tokenizer.IdToToken(250));
    }
}
