using LocalLlm.Samples.Rag.Commands;
using LocalLlm.Tests.Weights;
using Microsoft.Data.Sqlite;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Commands;

public sealed class RagApplicationTests(ShippedRag rag) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task Without_a_command_an_answer_with_its_passage_and_a_question_without_an_answer_are_shown()
    {
        var (code, output, _) = await RunAsync(["--store", rag.StorePath]);
        Assert.Equal(0, code);
        Assert.Contains("Answer: The power of the Ember server is 903 watts. [1]\n  [1] north-hall.md · line 21 · Inventory of the north hall › Ember server\n", output, StringComparison.Ordinal);
        Assert.Contains("[1] The power of the Ember server is 903 watts.", output, StringComparison.Ordinal);
        Assert.Contains("Answer: The context does not say.\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_chat_answers_line_after_line()
    {
        var (code, output, _) = await RunAsync(["chat", "--store", rag.StorePath], "What is the color of the Ember server?\nWhat is the price of the Ember server?\n");
        Assert.Equal(0, code);
        Assert.Contains("The color of the Ember server is blue.", output, StringComparison.Ordinal);
        Assert.Contains("The price of the Ember server is 712 dollars.", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_chat_understands_follow_ups_and_commands()
    {
        var (code, output, _) = await RunAsync(["chat", "--store", rag.StorePath], string.Join('\n',
            "What is the price of the Ember server?", "And its color?", "How heavy is it?", "And its speed?", "What about the Sigma valve?", "/nonsense", "/HELP", "/clear", "And its color?", "/exit", "What is the power of the Ember server?"));
        Assert.Equal(0, code);
        Assert.Contains("Understood as: What is the color of the Ember server?", output, StringComparison.Ordinal);
        Assert.Contains("Answer: The color of the Ember server is blue. [1]", output, StringComparison.Ordinal);
        Assert.Contains("Answer: The weight of the Ember server is 495 kg. [1]", output, StringComparison.Ordinal);
        var parts = output.Split("\nQuestion: ");
        Assert.Contains("Understood as: What is the speed of the Ember server?", parts[4], StringComparison.Ordinal);
        Assert.Contains("Answer: The context does not say.", parts[4], StringComparison.Ordinal);
        Assert.Contains("What is the speed of the Sigma valve?", parts[5], StringComparison.Ordinal);
        Assert.Contains("'/nonsense' is no command; allowed: /clear, /help, /exit, /quit", parts[5], StringComparison.Ordinal);
        Assert.Contains("forgets the conversation", parts[5], StringComparison.Ordinal);
        // No topic is left to carry over.
        Assert.Contains("Answer: The context does not say.", parts[6], StringComparison.Ordinal);
        Assert.Contains("'its' without naming what it means", parts[6], StringComparison.Ordinal);
        // Lines after /exit are not asked.
        Assert.Equal(7, parts.Length);
    }

    [Fact]
    public async Task A_chat_keeps_its_topic_over_turns_without_one_and_ends_at_a_bare_exit()
    {
        var (code, output, errors) = await RunAsync(["chat", "--store", rag.StorePath], string.Join('\n', "What is the price of the Ember server?", "Thanks", "   ", "And?", "And its color?", "exit", "What is the power of the Ember server?"));
        Assert.Equal(0, code);
        Assert.Contains("Understood as: What is the color of the Ember server?", output, StringComparison.Ordinal);
        Assert.DoesNotContain("903 watts. [1]", output.Split("exit")[^1], StringComparison.Ordinal);
        Assert.DoesNotContain("the question is empty", errors, StringComparison.Ordinal);
        Assert.Equal(5, output.Split("\nQuestion: ").Length);
    }

    [Theory]
    [InlineData("/exit", "/exit")]
    [InlineData("  /Quit now", "/quit")]
    [InlineData("exit", "/exit")]
    [InlineData(" Quit. ", "/quit")]
    [InlineData("／exit", "/exit")]
    [InlineData("/", "/")]
    [InlineData("exit through which door?", null)]
    [InlineData("/etc/hosts says what?", null)]
    [InlineData("What is 3 / 4?", null)]
    public void A_line_that_begins_with_a_slash_and_a_word_is_a_command(string line, string? command) => Assert.Equal(command, ChatCommand.CommandOf(line));

    [Fact]
    public async Task A_refusal_shows_passages_only_where_they_are_near()
    {
        var (_, near, _) = await RunAsync(["ask", "What is the speed of the Ember server?", "--store", rag.StorePath]);
        Assert.Contains("Nearest passages:", near, StringComparison.Ordinal);
        Assert.Contains("The power of the Ember server is 903 watts.", near, StringComparison.Ordinal);
        foreach (var question in new[] { "What is the price of the moon?", "How do I bake bread?", "Who wrote the opera about the river?", "今天天气怎么样？" })
        {
            var (_, far, _) = await RunAsync(["ask", question, "--store", rag.StorePath]);
            Assert.Contains("No passage is near.\n\nAnswer: The context does not say.\n", far, StringComparison.Ordinal);
            Assert.DoesNotContain("Note:", far, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_search_shows_the_scores_of_each_kind()
    {
        var (code, output, _) = await RunAsync(["search", "Ember server power", "--store", rag.StorePath]);
        Assert.Equal(0, code);
        Assert.Matches(@"^\d\.\d{3} \(dense \d\.\d{3}, sparse \d\.\d{3}, multi-vector \d\.\d{3}\) north-hall\.md", output);
    }

    [Theory]
    [InlineData(2, "Unrecognized", "nonsense")]
    [InlineData(2, "--port is 99999", "serve", "--port", "99999")]
    [InlineData(2, "--host is 'example.com'", "serve", "--host", "example.com")]
    [InlineData(1, "give KEY=VALUE", "ask", "Q?", "--set", "nonsense")]
    [InlineData(1, "'Rag:Search:Passage' is no setting; 'Rag:Search' has Weights, Threshold, RelativeThreshold, SentenceThreshold, SentenceRelativeThreshold, SentenceCheck, Synonyms, NearThreshold, Candidates, Passages", "ask", "Q?", "--set", "Rag:Search:Passage=3")]
    [InlineData(1, "Rag:Search:Candidates is 0; allowed: 1 to 10000. Rag:Search:Passages is 0; allowed: 1 to 100.", "ask", "Q?", "--set", "Rag:Search:Passages=0", "--set", "Rag:Search:Candidates=0")]
    [InlineData(1, "Rag:Search:Passages is 'many'; allowed: a whole number.", "ask", "Q?", "--set", "Rag:Search:Passages=many")]
    [InlineData(1, "Rag:Answer:Sources is '7'; allowed: Passages, Sentences.", "ask", "Q?", "--set", "Rag:Answer:Sources=7")]
    [InlineData(1, "Rag:Answer:Search is 'tools'; allowed: Tool, Required, Context.", "ask", "Q?", "--set", "Rag:Answer:Search=tools")]
    [InlineData(1, "there is no section 'Rga'; allowed: Rag, LocalLlm, LocalLlmEmbeddings", "ask", "Q?", "--set", "Rga:Foo=1")]
    [InlineData(1, "'Rag:Search' is a section, not a setting; it has Weights, Threshold", "ask", "Q?", "--set", "Rag:Search=3")]
    [InlineData(1, "'Rag:Search:Threshold' has nothing below it", "ask", "Q?", "--set", "Rag:Search:Threshold:X=3")]
    [InlineData(1, "'LocalLlm:ModelPaht' is no setting; 'LocalLlm' has ModelPath", "ask", "Q?", "--set", "LocalLlm:ModelPaht=x")]
    [InlineData(1, "allowed: 0 to 1000", "ask", "Q?", "--set", "Rag:Search:Weights:Dense=1e308")]
    [InlineData(1, "is an address (postgres://…)", "ask", "Q?", "--store", "postgres://localhost/rag")]
    [InlineData(1, "does not answer", "search", "Q?", "--store", "server = 127.0.0.1; port = 1; timeout = 2")]
    [InlineData(1, "'/none' does not exist", "ask", "Q?", "--documents", "/none")]
    [InlineData(1, "/none", "ask", "Q?", "--model", "/none/model")]
    [InlineData(1, "does not exist", "eval", "--passages", "/none")]
    [InlineData(1, "--k is 'x'", "eval", "--k", "x")]
    [InlineData(1, "each once", "eval", "--k", "1,1")]
    [InlineData(2, "--ties is '7'; allowed: mean, first or last", "eval", "--ties", "7")]
    [InlineData(2, "--qa-limit is -1; allowed: 1 or more passages", "eval", "--qa", "--qa-limit", "-1")]
    [InlineData(2, "--qa-limit is 0; allowed: 1 or more passages", "eval", "--qa", "--qa-limit", "0")]
    [InlineData(1, "add --qa or --qa-pairs FILE", "eval", "--qa-limit", "1")]
    [InlineData(1, "there are no pairs to measure with", "eval", "--qa", "--set", "Rag:Questions:PerPassage=0")]
    [InlineData(1, "is a folder; give a file", "eval-answers", "--questions", "/tmp")]
    [InlineData(1, "is a folder; give a file", "eval", "--qa-pairs", "/tmp")]
    [InlineData(1, "the folder '/none' does not exist", "eval", "--qa-pairs", "/none/pairs.jsonl")]
    public async Task What_is_wrong_is_one_line(int code, string wanted, params string[] args)
    {
        var (found, _, error) = await RunAsync([.. args, .. args.Contains("--store") ? [] : new[] { "--store", _folder["rag.db"] }]);
        Assert.Equal(code, found);
        Assert.Contains("error: ", error, StringComparison.Ordinal);
        Assert.Contains(wanted, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Host=localhost;Database=rag", true)]
    [InlineData("host = x", true)]
    [InlineData("Server=x;Nonsense", true)]
    [InlineData("User Id=rag;Pwd=x", true)]
    [InlineData("notes.db", false)]
    [InlineData("a=b.db", false)]
    [InlineData("./host=x", false)]
    [InlineData("=", false)]
    public void A_connection_string_is_known_by_its_keywords(string store, bool isConnection) => Assert.Equal(isConnection, CommonOptions.IsConnection(store));

    [Fact]
    public async Task A_store_of_another_model_is_refused()
    {
        var (code, _, error) = await RunAsync(["search", "x", "--store", rag.StorePath, "--set", "LocalLlmEmbeddings:ModelId=other"]);
        Assert.Equal(1, code);
        Assert.Contains("ingest again", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_empty_store_is_reported()
    {
        var (code, _, error) = await RunAsync(["search", "x", "--store", _folder["empty.db"]]);
        Assert.Equal(1, code);
        Assert.Contains("run 'rag ingest' first", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Figures_without_pairs_are_printed_before_pairs_are_made_and_queries_without_judgements_are_counted()
    {
        _folder.Write("passages", "{\"_id\": \"p1\", \"text\": \"The length of the Cobalt motor is 665 meters.\"}");
        _folder.Write("queries", "{\"_id\": \"q1\", \"text\": \"What is the length of the Cobalt motor?\"}\n{\"_id\": \"q2\", \"text\": \"What else?\"}");
        _folder.Write("qrels", "q1 0 p1 1");
        var (code, output, _) = await RunAsync(["eval", "--passages", _folder["passages"], "--queries", _folder["queries"], "--qrels", _folder["qrels"], "--qa", "--qa-limit", "1"]);
        Assert.Equal(0, code);
        Assert.Matches(@"(?s)recall@1 .*hybrid .*1 queries without judgements are left out.*recall@1 .*hybrid \+ pairs ", output);
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(string[] args, string input = "")
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await RagApplication.RunAsync(args, new(new StringReader(input), output, error, IsInteractive: false), TestContext.Current.CancellationToken);
        return (code, output.ToString(), error.ToString());
    }
}
