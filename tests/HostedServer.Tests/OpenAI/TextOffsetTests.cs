using System.Text.Json;
using LocalLlm.Server.OpenAI;
using LocalLlm.Server.Tests.Serving;
using LocalLlm.Tests;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Server.Tests.OpenAI;

/// <summary><c>text_offset</c> says where a token's text begins in the returned text, in code points.</summary>
public sealed class TextOffsetTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Path = "/v1/completions";
    private static readonly Tokenizer Tokens = Tokenizer.Load(TestPaths.TinyR1);

    [Theory]
    [InlineData("Look here: 😀 and on")]
    [InlineData("😀😀x😀")]
    [InlineData("中文字 ü 🇩🇪 e\u0301 👩‍👩‍👧 end")]
    [InlineData("\u200b\ufeff𝔘𝔫𝔦")]
    public void Every_token_of_a_character_stands_where_the_character_does(string text)
    {
        var ids = Tokens.Encode(text, addSpecialTokens: false);
        var expected = PlacesByBytes(ids);
        Assert.Contains(ids, id => Tokens.Decode([id]).Contains('\ufffd', StringComparison.Ordinal));
        Assert.Equal(expected, TextOffsets.OfPrompt(Tokens, text.Normalize(), ids));
        var output = new TextOffsets(Tokens, skipSpecialTokens: true, 7);
        Assert.Equal(expected.Select(place => place + 7), ids.Select(output.Next));
    }

    [Theory]
    [InlineData("a\u0301\u00e9 \U0001d518 zebra")]
    [InlineData("\u1100\u1161\u11a8 x\u0323\u0307 end")]
    [InlineData("e\u0301e\u0301e\u0301 \u212b last")]
    public async Task Offsets_of_an_echoed_prompt_point_into_the_prompt_as_it_was_given(string prompt)
    {
        Assert.NotEqual(prompt.Normalize(), prompt);
        var body = JsonSerializer.Serialize(new { prompt, echo = true, max_tokens = 0, logprobs = 1, temperature = 0 });
        var choice = (await server.AskAsync(Path, body)).GetProperty("choices")[0];
        Assert.Equal(prompt, choice.GetProperty("text").GetString());
        var runes = prompt.EnumerateRunes().ToArray();
        var (tokens, offsets) = (Texts(choice), Offsets(choice));
        Assert.Equal(tokens[^1], string.Concat(runes[offsets[^1]..]));
        for (var i = 0; i + 1 < tokens.Length; i++)
        {
            // A token that is a part of a character or that the tokenizer adds has no text of its own.
            if (offsets[i] < offsets[i + 1] && !tokens[i].Contains('\ufffd', StringComparison.Ordinal))
                Assert.Equal(tokens[i], string.Concat(runes[offsets[i]..offsets[i + 1]]).Normalize());
        }
    }

    [Fact]
    public void A_character_that_is_never_finished_is_one_replacement_character()
    {
        var emoji = Tokens.Encode("😀", addSpecialTokens: false);
        Assert.True(emoji.Length > 1);
        int[] ids = [emoji[0], .. Tokens.Encode("ab", addSpecialTokens: false), emoji[0], .. emoji];
        var places = new TextOffsets(Tokens, skipSpecialTokens: true, 0);
        var given = ids.Select(places.Next).ToArray();
        Assert.Equal(0, given[0]);
        Assert.Equal(1, given[1]);
        // The emoji at the end is complete, so it is the last character.
        Assert.Equal(CodePoints(Tokens.Decode(ids)) - 1, given[^1]);
        Assert.All(given[^emoji.Length..], place => Assert.Equal(given[^1], place));
    }

    [Fact]
    public void A_special_token_that_the_text_leaves_out_takes_no_place()
    {
        var special = Tokens.AllSpecialIds[0];
        var word = Tokens.Encode("ab", addSpecialTokens: false);
        var left = new TextOffsets(Tokens, skipSpecialTokens: true, 0);
        Assert.Equal([0, 0], new[] { left.Next(special), left.Next(word[0]) });
        var kept = new TextOffsets(Tokens, skipSpecialTokens: false, 0);
        Assert.Equal([0, CodePoints(Tokens.Decode([special]))], new[] { kept.Next(special), kept.Next(word[0]) });
    }

    [Theory]
    [InlineData("""{"prompt":"Look here: 😀 and 中文 on","temperature":0,"max_tokens":8,"echo":true,"logprobs":1}""")]
    [InlineData("""{"prompt":["😀","Once upon a time"],"temperature":1.5,"seed":5,"n":3,"max_tokens":24,"echo":true,"logprobs":0}""")]
    [InlineData("""{"prompt":"Once upon a time","temperature":0,"max_tokens":40,"logprobs":1,"stop":["the"]}""")]
    [InlineData("""{"prompt":"Once upon a time","temperature":2,"seed":11,"n":4,"max_tokens":60,"logprobs":1,"ignore_eos":true,"stop":["e a"],"include_stop_str_in_output":true}""")]
    [InlineData("""{"prompt":"😀😀","max_tokens":0,"echo":true,"logprobs":1}""")]
    [InlineData("""{"prompt":"Once upon a time","temperature":2,"seed":3,"max_tokens":40,"logprobs":1,"ignore_eos":true,"return_tokens_as_token_ids":true}""")]
    public async Task Offsets_are_places_in_the_text_and_a_stream_says_the_same(string body)
    {
        var whole = (await server.AskAsync(Path, body)).GetProperty("choices").EnumerateArray().ToArray();
        var chunks = body.Contains("\"max_tokens\":0", StringComparison.Ordinal) ? null : await server.StreamAsync(Path, body[..^1] + ",\"stream\":true}");
        foreach (var choice in whole)
        {
            var text = choice.GetProperty("text").GetString()!;
            var runes = text.EnumerateRunes().ToArray();
            var (tokens, offsets) = (Texts(choice), Offsets(choice));
            Assert.Equal(offsets.Order(), offsets);
            Assert.All(offsets, offset => Assert.InRange(offset, 0, runes.Length));
            for (var i = 0; i < tokens.Length; i++)
            {
                // Only whole characters can be compared, not parts of a split character or text that a stop string cut off.
                var shown = tokens[i].EnumerateRunes().ToArray();
                if (tokens[i].Contains('\ufffd', StringComparison.Ordinal) || tokens[i].StartsWith("token_id:", StringComparison.Ordinal) || tokens[i].StartsWith('<') || offsets[i] + shown.Length > runes.Length)
                    continue;
                Assert.Equal(tokens[i], string.Concat(runes[offsets[i]..(offsets[i] + shown.Length)]));
            }

            if (chunks is null)
                continue;
            var parts = chunks.SelectMany(chunk => chunk.GetProperty("choices").EnumerateArray()).Where(part => part.GetProperty("index").GetInt32() == choice.GetProperty("index").GetInt32()).ToArray();
            Assert.Equal(text, string.Concat(parts.Select(part => part.GetProperty("text").GetString())));
            Assert.Equal(offsets, parts.SelectMany(Offsets));
            Assert.Equal(tokens, parts.SelectMany(Texts));
        }
    }

    private static int[] Offsets(JsonElement choice) => choice.GetProperty("logprobs") is { ValueKind: JsonValueKind.Object } logprobs ? [.. logprobs.GetProperty("text_offset").EnumerateArray().Select(item => item.GetInt32())] : [];

    private static string[] Texts(JsonElement choice) => choice.GetProperty("logprobs") is { ValueKind: JsonValueKind.Object } logprobs ? [.. logprobs.GetProperty("tokens").EnumerateArray().Select(item => item.GetString()!)] : [];

    private static int CodePoints(string text) => text.EnumerateRunes().Count();

    // Offsets of valid text, computed from bytes: a byte's offset is the number of characters that begin before the byte's own character.
    private static int[] PlacesByBytes(int[] ids)
    {
        var places = new List<int>();
        var begun = 0;
        foreach (var id in ids)
        {
            var bytes = Tokens.IdToBytes(id);
            places.Add((bytes[0] & 0xC0) == 0x80 ? begun - 1 : begun);
            foreach (var value in bytes)
                begun += (value & 0xC0) == 0x80 ? 0 : 1;
        }

        return [.. places];
    }
}
