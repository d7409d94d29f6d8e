using LocalLlm.Samples.Rag.Evaluation;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Evaluation;

public sealed class BeirFilesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public BeirFilesTests()
    {
        _folder.Write("passages", "{\"_id\": \"p1\", \"title\": \"T\", \"text\": \"one\"}\n\n{\"_id\": \"p2\", \"text\": \"two\"}\n");
        _folder.Write("queries", "{\"_id\": \"q1\", \"text\": \"first\"}\n");
        _folder.Write("qrels", "query-id\tcorpus-id\tscore\nq1\tp1\t2\nq1\tp2\t0\n");
    }

    [Fact]
    public async Task A_collection_is_read_with_its_titles_and_grades()
    {
        var files = await ReadAsync();
        Assert.Equal([new("p1", "T\none"), new("p2", "two")], files.Passages);
        Assert.Equal([new("q1", "p1", 2), new("q1", "p2", 0)], files.Judgements);
    }

    [Theory]
    [InlineData("q1\tp1\t1\n", 1)]
    [InlineData("q1\t0\tp1\t1\nq1\t0\tp2\t3\n", 2)]
    [InlineData("q1 0 p1 1\nq1  Q0  p2  0\n", 2)]
    [InlineData("\n\nquery\tdocument\tRelevance\nq1\tp1\t1\n\n", 1)]
    [InlineData("q1\tp1\t1\nq1\tp1\t1.0\n", 1)]
    public async Task Judgements_come_without_a_first_line_of_names_and_in_TRECs_form_too(string qrels, int count)
    {
        _folder.Write("qrels", qrels);
        Assert.Equal(count, (await ReadAsync()).Judgements.Count);
    }

    [Theory]
    [InlineData("passages", "", "is empty")]
    [InlineData("passages", "{\"_id\": 3, \"text\": \"x\"}", "line 1")]
    [InlineData("passages", "{\"_id\": \"p1\", \"text\": \"x\"}\nno json", "line 2")]
    [InlineData("queries", "{\"_id\": \"q1\", \"text\": \"x\"}\n{\"_id\": \"q1\", \"text\": \"y\"}", "occurs twice")]
    [InlineData("qrels", "a\tb\tscore\nq1\tp1\tmuch", "line 2")]
    [InlineData("qrels", "q1\tp1\tmuch\nq1\tp2\t1", "line 1: found 'q1")]
    [InlineData("qrels", "q1\tp1\t1\nquery-id\tcorpus-id\tscore", "line 2")]
    [InlineData("qrels", "q1\tp1\tInfinity", "finite grade")]
    [InlineData("qrels", "q1\tp1\tNaN", "finite grade")]
    [InlineData("qrels", "q1\t\t1", "line 1")]
    [InlineData("qrels", "q1\tp1\t1\nq1\tp1\t0", "line 2: 'p1' is judged for 'q1' as 0, and before as 1; leave one of the two")]
    [InlineData("qrels", "q1 p1 1", "divided by tabs")]
    [InlineData("qrels", "q1\tnone\t1", "name a query or passage that is in no file")]
    [InlineData("qrels", "q1\tp1\t0", "no judgement has a grade above 0")]
    public async Task What_is_wrong_is_reported_with_its_place(string file, string text, string wanted)
    {
        _folder.Write(file, text);
        Assert.Contains(wanted, (await Assert.ThrowsAsync<RagException>(ReadAsync)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_in_place_of_a_file_is_reported_as_such()
    {
        Directory.CreateDirectory(_folder["sub"]);
        var failure = await Assert.ThrowsAsync<RagException>(() => BeirFiles.ReadAsync(_folder["passages"], _folder["queries"], _folder["sub"], TestContext.Current.CancellationToken));
        Assert.EndsWith("is a folder; give a file", failure.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private Task<BeirFiles> ReadAsync() => BeirFiles.ReadAsync(_folder["passages"], _folder["queries"], _folder["qrels"], TestContext.Current.CancellationToken);
}
