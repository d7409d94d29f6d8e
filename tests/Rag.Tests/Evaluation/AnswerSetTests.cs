using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Commands;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Evaluation;
using LocalLlm.Tests;
using LocalLlm.Tests.Weights;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Evaluation;

/// <summary>Documents with names and attributes that the shipped models have not learned, and questions with and without an answer in
/// them.</summary>
public sealed class AnswerSetTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("workyard", 0.9)]
    [InlineData("museum", 0.9)]
    [InlineData("unlearned", 0.95)]
    public async Task No_answer_is_wrong_and_most_are_right(string set, double share)
    {
        var token = TestContext.Current.CancellationToken;
        var folder = Path.Combine(TestPaths.Repository, "samples", "Rag", "eval", set);
        var configuration = RagConfiguration.Build(new Dictionary<string, string?> { ["Rag:Store:Path"] = _folder["s.db"], ["Rag:Documents:Folder"] = folder, ["Rag:Questions:PerPassage"] = "0" });
        using var host = await RagHost.StartAsync(configuration, withChatModel: true, token);
        var known = await AnswerCheck.ReadAsync(folder + ".jsonl", token);
        var answers = await AnswerCheck.RunAsync(host.Services.GetRequiredService<DocumentAgent>(), known, atOnce: 16, token);
        var there = answers.Where(answer => answer.Known.Answer is not null).ToArray();
        Assert.True(there.Length >= 20 && answers.Count - there.Length >= 20);
        Assert.All(answers.Where(answer => answer.Answer.State == AnswerState.Answered), answer => Assert.True(answer.IsRight && answer.IsRightlyCited, $"{answer.Known.Question} {answer.Answer.Text}"));
        Assert.All(answers.Except(there), answer => Assert.True(answer.IsRight, answer.Known.Question));
        Assert.True(there.Count(answer => answer.IsRight) >= share * there.Length, string.Join('\n', there.Where(answer => !answer.IsRight).Select(answer => answer.Known.Question)));
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }
}
