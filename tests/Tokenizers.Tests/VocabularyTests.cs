using System.Text;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class VocabularyTests
{
    [Theory]
    [InlineData("deepseek-r1-distill-qwen-32b", 151665, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")]
    [InlineData("deepseek-v3", 128815, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")]
    [InlineData("llama-3.1-8b-instruct", 128256, "<|begin_of_text|>", "<|eot_id|>")]
    [InlineData("qwen3", 151669, null, "<|im_end|>")]
    [InlineData("llama-2-7b-hf", 32000, "<s>", "</s>")]
    [InlineData("tiny-r1", 4088, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")]
    public void Sizes_and_special_tokens_are_those_of_the_family(string family, int size, string? bos, string? eos)
    {
        var tokenizer = TokenizerFolders.Load(family);
        Assert.Equal((size, bos, eos), (tokenizer.VocabularySize, tokenizer.BosToken, tokenizer.EosToken));
        Assert.Equal(bos is null ? null : tokenizer.TokenToId(bos), tokenizer.BosTokenId);
        Assert.NotNull(tokenizer.EosTokenId);
        Assert.All(tokenizer.AllSpecialIds, id => Assert.True(tokenizer.IsSpecial(id) && tokenizer.IsAdded(id)));
    }

    [Theory]
    [MemberData(nameof(TokenizerFolders.All), MemberType = typeof(TokenizerFolders))]
    public void Every_token_is_found_by_its_text(string family)
    {
        var tokenizer = TokenizerFolders.Load(family);
        var found = 0;
        for (var id = 0; id < tokenizer.VocabularySize; id++)
        {
            if (tokenizer.IdToToken(id) is not { } token)
                continue;
            if (tokenizer.TokenToId(token) == id)
                found++;
        }

        Assert.Equal(tokenizer.VocabularySize, found);
        Assert.Null(tokenizer.TokenToId("no such token"));
    }

    [Fact]
    public void A_tokens_bytes_are_what_it_adds_to_the_text()
    {
        var tokenizer = TokenizerFolders.Load(TokenizerFolders.TinyR1);
        Assert.Equal(" the"u8.ToArray(), tokenizer.IdToBytes(tokenizer.TokenToId("Ġthe")!.Value).ToArray());
        Assert.Equal("<｜User｜>"u8.ToArray(), tokenizer.IdToBytes(tokenizer.TokenToId("<｜User｜>")!.Value).ToArray());
        var llama = TokenizerFolders.Load("llama-2-7b-hf");
        Assert.Equal(" the"u8.ToArray(), llama.IdToBytes(llama.TokenToId("▁the")!.Value).ToArray());
        Assert.Equal([0xE4], llama.IdToBytes(llama.TokenToId("<0xE4>")!.Value).ToArray());
        Assert.Equal("<s>", Encoding.UTF8.GetString(llama.IdToBytes(1)));
    }
}
