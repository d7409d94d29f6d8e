using System.Text.Json;
using LocalLlm.Server.Tests.Serving;
using Xunit;

namespace LocalLlm.Server.Tests.OpenAI;

public sealed class CompletionsTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Path = "/v1/completions";

    [Fact]
    public async Task Each_kind_of_prompt_gives_the_same_answer()
    {
        var ids = (await server.AskAsync("/tokenize", """{"prompt":"Once upon a time"}""")).GetProperty("tokens").GetRawText();
        var texts = new List<string?>();
        foreach (var prompt in (string[])["\"Once upon a time\"", "[\"Once upon a time\"]", ids, $"[{ids}]"])
            texts.Add((await server.AskAsync(Path, $$"""{"prompt":{{prompt}},"temperature":0}""")).GetProperty("choices")[0].GetProperty("text").GetString());
        Assert.NotEqual("", texts[0]);
        Assert.All(texts, text => Assert.Equal(texts[0], text));
    }

    [Fact]
    public async Task Choices_are_numbered_by_prompt_and_then_by_n()
    {
        var answer = await server.AskAsync(Path, """{"prompt":["Once upon a time","The capital of France"],"n":2,"temperature":1,"seed":3,"max_tokens":4,"echo":true}""");
        var choices = answer.GetProperty("choices").EnumerateArray().ToArray();
        Assert.Equal([0, 1, 2, 3], choices.Select(choice => choice.GetProperty("index").GetInt32()));
        Assert.All(choices[..2], choice => Assert.StartsWith("Once upon a time", choice.GetProperty("text").GetString(), StringComparison.Ordinal));
        Assert.All(choices[2..], choice => Assert.StartsWith("The capital of France", choice.GetProperty("text").GetString(), StringComparison.Ordinal));
        Assert.Equal(16, answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    [Fact]
    public async Task A_stream_says_what_the_whole_answer_says()
    {
        const string body = """{"prompt":["Once upon a time","The capital of France"],"temperature":0,"max_tokens":12,"echo":true,"logprobs":2""";
        var whole = (await server.AskAsync(Path, body + "}")).GetProperty("choices");
        var chunks = await server.StreamAsync(Path, body + ""","stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}""");
        Assert.All(chunks, chunk => Assert.True(chunk.TryGetProperty("usage", out _)));
        for (var index = 0; index < 2; index++)
        {
            var parts = chunks.Where(chunk => chunk.GetProperty("choices").GetArrayLength() > 0).Select(chunk => chunk.GetProperty("choices")[0]).Where(choice => choice.GetProperty("index").GetInt32() == index).ToArray();
            Assert.Equal(whole[index].GetProperty("text").GetString(), string.Concat(parts.Select(part => part.GetProperty("text").GetString())));
            var logprobs = parts.Where(part => part.GetProperty("logprobs").ValueKind == JsonValueKind.Object).ToArray();
            Assert.Equal(
                whole[index].GetProperty("logprobs").GetProperty("text_offset").EnumerateArray().Select(item => item.GetInt32()),
                logprobs.SelectMany(part => part.GetProperty("logprobs").GetProperty("text_offset").EnumerateArray().Select(item => item.GetInt32())));
        }
    }

    [Fact]
    public async Task Echo_without_tokens_scores_the_prompt()
    {
        var answer = await server.AskAsync(Path, """{"prompt":"Once upon a time","max_tokens":0,"echo":true,"logprobs":1}""");
        var choice = answer.GetProperty("choices")[0];
        Assert.Equal("Once upon a time", choice.GetProperty("text").GetString());
        Assert.Equal(answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), choice.GetProperty("logprobs").GetProperty("tokens").GetArrayLength());
        Assert.Equal(JsonValueKind.Null, choice.GetProperty("logprobs").GetProperty("token_logprobs")[0].ValueKind);
        Assert.Equal(0, answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    [Fact]
    public async Task Without_max_tokens_there_are_16() =>
        Assert.Equal(16, (await server.AskAsync(Path, """{"prompt":"Once upon a time","ignore_eos":true}""")).GetProperty("usage").GetProperty("completion_tokens").GetInt32());

    [Fact]
    public async Task Texts_and_tokens_become_one_another()
    {
        var tokens = await server.AskAsync("/tokenize", """{"prompt":"Once upon a time","return_token_strs":true}""");
        Assert.Equal(tokens.GetProperty("count").GetInt32(), tokens.GetProperty("token_strs").GetArrayLength());
        var text = await server.AskAsync("/detokenize", $$"""{"tokens":{{tokens.GetProperty("tokens").GetRawText()}}}""");
        Assert.Equal("Once upon a time", text.GetProperty("prompt").GetString());
        var chat = await server.AskAsync("/tokenize", """{"messages":[{"role":"user","content":"Hi"}]}""");
        var answer = await server.AskAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"Hi"}],"max_tokens":1}""");
        Assert.Equal(answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), chat.GetProperty("count").GetInt32());
    }
}
