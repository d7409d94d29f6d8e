using LocalLlm.Samples.Rag.Evaluation;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Evaluation;

public sealed class AnswerCheckTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task Questions_are_read_with_and_without_answers_and_blank_lines_are_passed_over()
    {
        _folder.Write("questions", "\n{\"question\": \"A?\", \"answer\": \"1\", \"document\": \"d\"}\n\n{\"question\": \"B?\", \"answer\": null}\n");
        Assert.Equal([new("A?", "1", "d"), new("B?", null, null)], await ReadAsync());
    }

    [Theory]
    [InlineData("{\"question\": \"Q?\", \"anwser\": \"1\"}", "unknown member 'anwser'")]
    [InlineData("{\"question\": \"Q?\"}", "no member 'answer'")]
    [InlineData("{\"answer\": \"1\"}", "no string 'question'")]
    [InlineData("{\"question\": \"Q?\", \"answer\": \"\"}", "as answer")]
    [InlineData("{\"question\": \"Q?\", \"answer\": 1}", "as answer")]
    [InlineData("{\"question\": \"Q?\", \"answer\": \"1\", \"answer\": null}", "answer")]
    [InlineData("[]", "found '[]'")]
    [InlineData("no json", "wanted a JSON object")]
    public async Task A_line_without_question_and_answer_is_refused_with_its_place(string line, string wanted)
    {
        _folder.Write("questions", "\n" + line);
        var message = (await Assert.ThrowsAsync<RagException>(ReadAsync)).Message;
        Assert.Contains("line 2: ", message, StringComparison.Ordinal);
        Assert.Contains(wanted, message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_without_questions_is_refused()
    {
        _folder.Write("questions", "\n\n");
        Assert.Contains("is empty", (await Assert.ThrowsAsync<RagException>(ReadAsync)).Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private Task<IReadOnlyList<KnownAnswer>> ReadAsync() => AnswerCheck.ReadAsync(_folder["questions"], TestContext.Current.CancellationToken);
}
