using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Tests;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Configuration;

public sealed class RagConfigurationTests
{
    [Fact]
    public void The_shipped_models_have_settings_of_their_own_and_others_have_the_general_ones()
    {
        var tiny = Options([]);
        Assert.Equal((SearchMode.Context, SourceForm.Sentences, QuestionMethod.Chosen, SentenceCheck.Words, FollowUps.Carried), (tiny.Answer.Search, tiny.Answer.Sources, tiny.Questions.Method, tiny.Search.SentenceCheck, tiny.Answer.FollowUps));
        var real = Options(new() { ["LocalLlm:ModelPath"] = "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", ["LocalLlmEmbeddings:ModelPath"] = "BAAI/bge-m3" });
        Assert.Equal((SearchMode.Required, SourceForm.Passages, QuestionMethod.Written, SentenceCheck.Score, FollowUps.Rewritten), (real.Answer.Search, real.Answer.Sources, real.Questions.Method, real.Search.SentenceCheck, real.Answer.FollowUps));
        Assert.Matches(@"artifacts/rag/bge-m3-documents-[0-9a-f]{8}\.db$", real.Store.Path);
        Assert.NotEqual(tiny.Store.Path, real.Store.Path);
    }

    [Fact]
    public void The_command_line_goes_before_the_models_settings() =>
        Assert.Equal(SearchMode.Tool, Options(new() { ["Rag:Answer:Search"] = "Tool" }).Answer.Search);

    [Fact]
    public void Shipped_paths_are_found_from_any_directory()
    {
        var configuration = RagConfiguration.Build(new Dictionary<string, string?>());
        Assert.Equal(TestPaths.TinyR1, configuration["LocalLlm:ModelPath"]);
        Assert.Equal(Path.Combine(TestPaths.Repository, "samples", "Rag", "documents"), configuration["Rag:Documents:Folder"]);
        Assert.Equal("elsewhere", RagConfiguration.Build(new Dictionary<string, string?> { ["Rag:Documents:Folder"] = "elsewhere" })["Rag:Documents:Folder"]);
    }

    [Fact]
    public void Each_documents_folder_has_a_store_of_its_own()
    {
        var folders = new[] { "/a/notes", "/a/notes/", "/b/notes" }.Select(folder => Options(new() { ["Rag:Documents:Folder"] = folder }).Store.Path).ToArray();
        Assert.Equal(folders[0], folders[1]);
        Assert.NotEqual(folders[0], folders[2]);
    }

    [Fact]
    public void An_undefined_enum_number_is_refused_from_any_source()
    {
        Assert.Equal("Rag:Store:Kind is '7'; allowed: Sqlite, Postgres.", Assert.Throws<RagException>(() => Options(new() { ["Rag:Store:Kind"] = "7" })).Message);
        var options = Options([]);
        (options.Store.Kind, options.Answer.Search, options.Answer.Sources, options.Questions.Method) = ((StoreKind)7, (SearchMode)7, (SourceForm)7, (QuestionMethod)7);
        (options.Search.SentenceCheck, options.Answer.FollowUps) = ((SentenceCheck)7, (FollowUps)7);
        Assert.Equal(
            ["Rag:Questions:Method is 7; allowed: Written, Chosen.", "Rag:Search:SentenceCheck is 7; allowed: Score, Words.", "Rag:Store:Kind is 7; allowed: Sqlite, Postgres.", "Rag:Answer:Search is 7; allowed: Tool, Required, Context.", "Rag:Answer:Sources is 7; allowed: Passages, Sentences.", "Rag:Answer:FollowUps is 7; allowed: AsTyped, Carried, Rewritten."],
            new RagOptionsValidator().Validate(null, options).Failures!);
    }

    [Fact]
    public void All_faults_are_reported_at_once()
    {
        var options = new RagOptions { Search = { Weights = new() { Dense = -1 }, RelativeThreshold = 2 }, Chunking = { MaxTokens = 20, OverlapTokens = 20 }, Store = { Kind = StoreKind.Postgres, Schema = "no;schema" }, Answer = { Prompt = "{question}" } };
        var faults = new RagOptionsValidator().Validate(null, options).Failures!.ToArray();
        foreach (var wanted in new[] { "Documents:Folder", "Weights", "RelativeThreshold", "OverlapTokens", "ConnectionString", "Schema", "Prompt" })
            Assert.Contains(faults, fault => fault.Contains(wanted, StringComparison.Ordinal));
        Assert.True(new RagOptionsValidator().Validate(null, Options([])).Succeeded);
    }

    private static RagOptions Options(Dictionary<string, string?> commandLine) => RagConfiguration.Build(commandLine).GetSection(RagOptions.SectionName).Get<RagOptions>()!;
}
