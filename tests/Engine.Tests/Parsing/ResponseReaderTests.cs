using LocalLlm.Parsing;
using Xunit;

namespace LocalLlm.Tests.Parsing;

/// <summary>A sequence's outputs become the same response, however they are cut.</summary>
public sealed class ResponseReaderTests
{
    private const int Open = 1;
    private const int Close = 2;
    private const string Call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";

    [Theory]
    [InlineData("<think>\n", "so\n</think>\n\nyes", "[so\n</think>]\n\nyes")]
    [InlineData("", "<think>so</think>yes", "[<think>so</think>]yes")]
    [InlineData("", " \n<think>\n\nso</think>yes", "[ \n<think>\n\nso</think>]yes")]
    [InlineData("", "a<think>b</think>c", "a<think>b</think>c")]
    [InlineData("", "no tags < think> </thin", "no tags < think> </thin")]
    [InlineData("<think>", "never ends </think", "[never ends </think]")]
    [InlineData("<think>", "cut off\n\n", "[cut off\n\n]")]
    [InlineData("<think>", "", "")]
    [InlineData("", " \n", " \n")]
    public void Verbatim_every_character_is_kept_and_a_thoughts_tags_are_part_of_it(string prompt, string text, string expected)
    {
        for (var size = 1; size <= text.Length + 1; size++)
        {
            var thinking = false;
            var shown = "";
            foreach (var part in Read(Reader(prompt, isVerbatim: true), text, size))
            {
                var isThought = part.Kind == ResponsePartKind.Reasoning;
                shown += (thinking, isThought) switch { (false, true) => "[", (true, false) => "]", _ => "" } + part.Value;
                thinking = isThought;
            }

            Assert.Equal(expected, shown + (thinking ? "]" : ""));
        }
    }

    [Fact]
    public void Parts_are_joined_to_one_response_with_its_calls()
    {
        var builder = new ResponseBuilder();
        var reader = Reader("<think>\n");
        builder.Add(Read(reader, $"hm\n</think>\n\nI call.\n{Call}\n{Call}", 3));
        var response = builder.ToResponse();
        Assert.Equal(("hm", "I call."), (response.Reasoning, response.Text.TrimEnd()));
        Assert.Equal([new("f", "{\"a\": 1}", IsCut: false), new("f", "{\"a\": 1}", IsCut: false)], response.ToolCalls);
        Assert.Equal((2, true, true), (reader.ToolCallCount, reader.EndsWithToolCalls, reader.IsComplete));
    }

    [Fact]
    public void A_call_that_is_cut_off_is_distinguished_from_a_whole_one()
    {
        var reader = Reader("");
        var builder = new ResponseBuilder();
        builder.Add(Read(reader, Call[..^20], 4, FinishReason.Length));
        Assert.True(Assert.Single(builder.ToResponse().ToolCalls).IsCut);
        Assert.Equal((1, false), (reader.ToolCallCount, reader.EndsWithToolCalls));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1000)]
    public void Where_one_call_is_wanted_the_response_is_complete_with_it_and_nothing_follows(int size)
    {
        var reader = Reader("", endsAfterCall: true);
        var parts = Read(reader, $"{Call}\n{Call} and more", size).ToList();
        Assert.True(reader.IsComplete);
        Assert.Equal(1, reader.ToolCallCount);
        Assert.Equal(ResponsePartKind.ToolCallEnd, parts[^1].Kind);
        Assert.Empty(reader.Append(new() { RequestId = "1", Text = "more" }));
    }

    [Theory]
    [InlineData("<think>\n", new[] { 5, 6, Close, 7, 8 }, 2)]
    [InlineData("", new[] { Open, 5, 6, 7, Close, 8 }, 3)]
    [InlineData("", new[] { 5, Close, 6, Open, 7 }, 0)]
    public void Tokens_of_thoughts_are_counted_without_their_tags(string prompt, int[] tokens, int expected)
    {
        var reader = Reader(prompt);
        foreach (var token in tokens)
            reader.Append(new() { RequestId = "1", TokenIds = [token] });
        Assert.Equal((tokens.Length, expected), (reader.TokenCount, reader.ReasoningTokenCount));
    }

    [Theory]
    [InlineData(FinishReason.Error, EngineErrorKind.GenerationFailed)]
    [InlineData(FinishReason.Abort, EngineErrorKind.ShuttingDown)]
    public void A_sequence_that_did_not_end_by_itself_is_no_response(FinishReason reason, EngineErrorKind kind)
    {
        var output = new GenerationOutput { RequestId = "1", FinishReason = reason, Error = "it failed" };
        Assert.Equal(kind, Assert.Throws<EngineException>(() => Reader("").Append(output)).Kind);
    }

    private static ResponseReader Reader(string prompt, bool endsAfterCall = false, bool isVerbatim = false) =>
        new(_ => new(new ReasoningParser(prompt, isVerbatim), ToolCallParser.CreateHermes()), new((Open, Close)), endsAfterCall);

    private static IEnumerable<ResponsePart> Read(ResponseReader reader, string text, int size, FinishReason end = FinishReason.Stop)
    {
        foreach (var chunk in text.Chunk(size))
        {
            foreach (var part in reader.Append(new() { RequestId = "1", Text = new(chunk) }))
                yield return part;
        }

        foreach (var part in reader.Append(new() { RequestId = "1", FinishReason = end }))
            yield return part;
    }
}
