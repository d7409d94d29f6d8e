using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace LocalLlm.Tokenizers.Tests;

public class UnigramFileTests
{
    [Theory]
    [InlineData(""" "unk_id":0 """, "model.vocab is absent")]
    [InlineData(""" "unk_id":0,"vocab":{} """, "model.vocab is absent or no array")]
    [InlineData(""" "unk_id":0,"vocab":[] """, "model.vocab is empty")]
    [InlineData(""" "unk_id":0,"vocab":[1] """, "model.vocab[0] is no pair")]
    [InlineData(""" "unk_id":0,"vocab":[["a",0],"b"] """, "model.vocab[1] is no pair")]
    [InlineData(""" "unk_id":0,"vocab":[[]] """, "model.vocab[0] is no pair")]
    [InlineData(""" "unk_id":0,"vocab":[[1,"a"]] """, "model.vocab[0] is no pair")]
    [InlineData(""" "unk_id":0,"vocab":[["a"]] """, "model.vocab[0] has no score")]
    [InlineData(""" "unk_id":0,"vocab":[["a","1"]] """, "model.vocab[0] has no score")]
    [InlineData(""" "unk_id":0,"vocab":[["a",null]] """, "model.vocab[0] has no score")]
    [InlineData(""" "unk_id":0,"vocab":[["a",0],["b",1e400]] """, "model.vocab[1] has no score that is a finite number")]
    [InlineData(""" "unk_id":0,"vocab":[["a",-1e400]] """, "model.vocab[0] has no score that is a finite number")]
    [InlineData(""" "unk_id":0,"vocab":[["a",NaN]] """, "no valid JSON")]
    [InlineData(""" "unk_id":0,"vocab":[["a",Infinity]] """, "no valid JSON")]
    [InlineData(""" "unk_id":0,"vocab":[["a",0,0]] """, "model.vocab[0] has more than")]
    [InlineData(""" "unk_id":0,"vocab":[["a",0],["b",0],["a",0]] """, "model.vocab[2] is the piece \"a\"")]
    [InlineData(""" "unk_id":0,"vocab":[["\ud800",0]] """, "model.vocab")]
    [InlineData(""" "unk_id":1,"vocab":[["a",0]] """, "model.unk_id is 1; 0 to 0 was expected")]
    [InlineData(""" "unk_id":-1,"vocab":[["a",0]] """, "model.unk_id is -1")]
    [InlineData(""" "unk_id":1e99,"vocab":[["a",0]] """, "model.unk_id is 1e99")]
    [InlineData(""" "unk_id":"a","vocab":[["a",0]] """, "model.unk_id")]
    [InlineData(""" "unk_id":null,"vocab":[["a",0]] """, "model.unk_id is absent or null")]
    [InlineData(""" "unk_id":0,"byte_fallback":1,"vocab":[["a",0]] """, "model.byte_fallback")]
    public void A_malformed_model_is_one_error_that_names_file_and_field(string model, string named)
    {
        using var folder = new TemporaryTokenizer();
        folder.Write(Encoding.UTF8.GetBytes("{\"model\":{\"type\":\"Unigram\"," + model + "}}"));
        Assert.Contains(named, Refusal(folder), StringComparison.Ordinal);
    }

    [Fact]
    public void A_piece_that_is_too_long_is_refused()
    {
        using var folder = TemporaryUnigram.Create(null, (new string('x', 256), -1));
        Assert.Equal("▁·" + new string('x', 256), TemporaryTokenizer.Show(folder.Load(), new string('x', 256)));
        using var other = TemporaryUnigram.Create(null, (new string('x', 257), -1));
        Assert.Contains("has a piece of 257 characters; at most 256 are allowed", Refusal(other), StringComparison.Ordinal);
    }

    [Fact]
    public void More_pieces_than_any_real_vocabulary_has_are_refused()
    {
        using var folder = new TemporaryTokenizer();
        var json = new StringBuilder("""{"model":{"unk_id":0,"type":"Unigram","vocab":[""");
        for (var i = 0; i <= 1 << 21; i++)
            json.Append("[\"").Append(i.ToString("x", null)).Append("\",0],");
        folder.Write(Encoding.UTF8.GetBytes(json.Append("[\"\",0]]}}").ToString()));
        Assert.Contains("model.vocab has more than 2097152 pieces", Refusal(folder), StringComparison.Ordinal);
    }

    [Fact]
    public void Scores_at_the_edge_of_numbers_do_no_harm()
    {
        using var folder = TemporaryUnigram.Create(null, ("d", double.MaxValue), ("dd", double.MinValue), ("e", double.Epsilon));
        var tokenizer = folder.Load();
        Assert.Equal("▁·d·d·d·e·<unk>", TemporaryTokenizer.Show(tokenizer, "ddde☃"));
    }

    [Fact]
    public void A_damaged_file_loads_or_is_refused_and_never_does_anything_else()
    {
        using var folder = TemporaryUnigram.Create(json => json["normalizer"] = new JsonObject
        {
            ["type"] = "Precompiled", ["precompiled_charsmap"] = TemporaryUnigram.CharacterMap(("A", "a")),
        });
        var good = JsonSerializer.SerializeToUtf8Bytes(folder.Json);
        var random = new Random(24);
        var damage = "{}[]\":,0-9eE\\ aN\0\u007F"u8.ToArray();
        for (var round = 0; round < 300 * TokenizerFolders.FuzzFactor; round++)
        {
            var bytes = good.ToArray();
            for (var i = random.Next(1, 4); i > 0; i--)
                bytes[random.Next(bytes.Length)] = damage[random.Next(damage.Length)];
            folder.Write(bytes);
            try
            {
                var tokenizer = folder.Load();
                tokenizer.Decode(tokenizer.Encode("abc <s> A☃中"));
                tokenizer.Encode(tokenizer.GuardText("<s>", '\uFDD0'), guard: '\uFDD0');
            }
            catch (TokenizerException error)
            {
                Assert.Equal(TokenizerErrorKind.File, error.Kind);
            }
        }
    }

    private static string Refusal(TemporaryTokenizer folder)
    {
        var error = Assert.Throws<TokenizerException>(folder.Load);
        Assert.Equal(TokenizerErrorKind.File, error.Kind);
        Assert.StartsWith("tokenizer.json: ", error.Message, StringComparison.Ordinal);
        return error.Message;
    }
}
