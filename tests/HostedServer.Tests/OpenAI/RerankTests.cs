using System.Text.Json;
using LocalLlm.Server.Http;
using LocalLlm.Server.Tests.Serving;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Server.Tests.OpenAI;

/// <summary>The trained tiny embedding model ranks documents and scores pairs.</summary>
public sealed class RerankTests(EncoderServer encoder) : IClassFixture<EncoderServer>
{
    private const string Query = "Where does Mona Hall live?";
    private static readonly string[] Documents = ["The moon is far.", "Mona Hall lives in Osaka.", "Mona likes tea."];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private TestServer Server => encoder.Server;

    [Theory]
    [InlineData("/rerank")]
    [InlineData("/v1/rerank")]
    [InlineData("/v2/rerank")]
    public async Task Documents_come_best_first_with_the_engines_scores_and_as_they_were_given(string path)
    {
        var answer = await Server.AskAsync(path, """{"model":"tiny-m3","query":"Where does Mona Hall live?","documents":["The moon is far.",{"text":"Mona Hall lives in Osaka.","page":7},"Mona likes tea."],"request_id":"r1"}""");
        Assert.Equal(["id", "model", "usage", "results"], answer.EnumerateObject().Select(member => member.Name));
        Assert.Equal("rerank-r1", answer.GetProperty("id").GetString());
        Assert.Equal("tiny-m3", answer.GetProperty("model").GetString());
        var ranked = await Server.Embedder.RerankAsync(Query, Documents, cancellationToken: Token);
        Assert.Equal(ranked.TokenCount, answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt64());
        Assert.Equal(ranked.TokenCount, answer.GetProperty("usage").GetProperty("total_tokens").GetInt64());
        var results = answer.GetProperty("results").EnumerateArray().ToArray();
        Assert.Equal(ranked.Results.Select(result => result.Index), results.Select(result => result.GetProperty("index").GetInt32()));
        Assert.Equal(1, results[0].GetProperty("index").GetInt32());
        Assert.All(ranked.Results.Zip(results), pair => Assert.Equal(pair.First.Score, pair.Second.GetProperty("relevance_score").GetDouble(), 1e-6));
        Assert.Equal("""{"text":"Mona Hall lives in Osaka.","page":7}""", results[0].GetProperty("document").GetRawText());
        Assert.Contains(results, result => result.GetProperty("document").GetRawText() == """{"text":"The moon is far."}""");
    }

    [Theory]
    [InlineData("\"top_n\":1", 1, true)]
    [InlineData("\"top_n\":0", 3, true)]
    [InlineData("\"top_n\":null", 3, true)]
    [InlineData("\"top_n\":9", 3, true)]
    [InlineData("\"return_documents\":false", 3, false)]
    [InlineData("\"return_documents\":true,\"priority\":0,\"use_activation\":true,\"softmax\":false,\"user\":\"me\",\"something\":1", 3, true)]
    public async Task As_many_come_as_are_asked_for_with_or_without_their_text(string members, int count, bool hasText)
    {
        var answer = await Server.AskAsync("/rerank", $"{{\"query\":\"{Query}\",\"documents\":{JsonSerializer.Serialize(Documents)},{members}}}");
        var results = answer.GetProperty("results").EnumerateArray().ToArray();
        Assert.Equal(count, results.Length);
        Assert.All(results, result => Assert.Equal(hasText, result.TryGetProperty("document", out _)));
    }

    [Theory]
    [InlineData("""{"dense":1}""", 1, 0, 0)]
    [InlineData("""{"sparse":2,"multi_vector":null}""", 0, 2, 0)]
    [InlineData("""{"multi_vector":0.3,"dense":0}""", 0, 0, 0.3)]
    [InlineData("""{"dense":0.4,"sparse":0.2,"multi_vector":0.4}""", 0.4, 0.2, 0.4)]
    public async Task Weights_of_the_request_count(string weights, double dense, double sparse, double multiVector)
    {
        var answer = await Server.AskAsync("/score", $"{{\"text_1\":\"{Query}\",\"text_2\":{JsonSerializer.Serialize(Documents)},\"weights\":{weights}}}");
        var expected = await Server.Embedder.ScoreAsync([Query], Documents, new(dense, sparse, multiVector), cancellationToken: Token);
        Assert.Equal(expected.Scores, answer.GetProperty("data").EnumerateArray().Select(item => item.GetProperty("score").GetDouble()), (one, other) => Math.Abs(one - other) < 1e-6);
    }

    [Theory]
    [InlineData("/rerank", """{"query":"W","documents":["W","a"],"truncate_prompt_tokens":20}""", 40)]
    [InlineData("/rerank", """{"query":"a","documents":["W","W"],"max_tokens_per_doc":30}""", 60)]
    [InlineData("/rerank", """{"query":"W","documents":["W","W"],"truncate_prompt_tokens":-1,"max_tokens_per_doc":30}""", 512 + 60)]
    [InlineData("/score", """{"text_1":"W","text_2":["W","W"],"truncate_prompt_tokens":10,"truncation_side":"right"}""", 30)]
    public async Task Texts_are_cut_where_that_is_asked_for(string path, string body, int tokensOfLongTexts)
    {
        var single = await Server.AskAsync("/tokenize", """{"prompt":"a"}""");
        var answer = await Server.AskAsync(path, body.Replace("\"W\"", $"\"{string.Join(' ', Enumerable.Repeat("server", 2000))}\"", StringComparison.Ordinal));
        var shortTexts = body.Split("\"a\"").Length - 1;
        Assert.Equal(tokensOfLongTexts + (shortTexts * single.GetProperty("count").GetInt32()), answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }

    [Fact]
    public async Task The_servers_own_weights_count_where_a_request_names_none()
    {
        await using var server = new TestServer(options => options.ScoreWeights = new(0, 1, 0), isEncoder: true);
        await server.InitializeAsync();
        var own = await server.AskAsync("/score", $"{{\"text_1\":\"{Query}\",\"text_2\":\"{Documents[1]}\"}}");
        var asked = await Server.AskAsync("/score", $"{{\"text_1\":\"{Query}\",\"text_2\":\"{Documents[1]}\",\"weights\":{{\"sparse\":1}}}}");
        var others = await Server.AskAsync("/score", $"{{\"text_1\":\"{Query}\",\"text_2\":\"{Documents[1]}\"}}");
        Assert.Equal(Scores(asked)[0], Scores(own)[0], 1e-6);
        Assert.True(Math.Abs(Scores(others)[0] - Scores(own)[0]) > 1e-3);
    }

    [Theory]
    [InlineData("/score", """{"text_1":"a b","text_2":"a"}""", 1)]
    [InlineData("/v1/score", """{"text_1":["a b"],"text_2":["a","b"]}""", 2)]
    [InlineData("/score", """{"text_1":["a b","c"],"text_2":["a","b"],"model":"tiny-m3"}""", 2)]
    [InlineData("/score", """{"queries":"a b","documents":["a",{"text":"b"}]}""", 2)]
    [InlineData("/score", """{"queries":["a b"],"items":["a","b","c"]}""", 3)]
    [InlineData("/score", """{"data_1":"a b","data_2":["a"]}""", 1)]
    public async Task Pairs_are_scored_under_every_name_that_clients_use(string path, string body, int count)
    {
        var answer = await Server.AskAsync(path, body);
        Assert.Equal(["id", "created", "model", "data", "usage", "object"], answer.EnumerateObject().Select(member => member.Name));
        Assert.StartsWith("score-", answer.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal("list", answer.GetProperty("object").GetString());
        var data = answer.GetProperty("data").EnumerateArray().ToArray();
        Assert.Equal(Enumerable.Range(0, count), data.Select(item => item.GetProperty("index").GetInt32()));
        Assert.All(data, item => Assert.Equal("score", item.GetProperty("object").GetString()));
        Assert.True(answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32() > count);
    }

    [Fact]
    public async Task Of_two_models_the_one_that_embeds_ranks()
    {
        await using var server = new TestServer(null, embeddingModel: LocalLlm.Tests.TestPaths.TinyM3);
        await server.InitializeAsync();
        var body = $"{{\"query\":\"{Query}\",\"documents\":{JsonSerializer.Serialize(Documents)}}}";
        Assert.Equal("tiny-m3", (await server.AskAsync("/rerank", body)).GetProperty("model").GetString());
        using var refused = await server.PostAsync("/rerank", body[..^1] + ",\"model\":\"tiny-r1\"}", cancellationToken: Token);
        Http.HostileInputTests.AssertError(await refused.Content.ReadAsStringAsync(Token), "model", "model_not_supported");
        var tokens = await server.AskAsync("/tokenize", """{"model":"tiny-m3","prompt":"Mona Hall"}""");
        Assert.Equal(512, tokens.GetProperty("max_model_len").GetInt32());
        Assert.Equal(2048, (await server.AskAsync("/tokenize", """{"prompt":"Mona Hall"}""")).GetProperty("max_model_len").GetInt32());
    }

    [Fact]
    public async Task A_client_that_leaves_ends_its_work_and_gives_its_place_back()
    {
        var before = Server.Embedder.Statistics.Embedded;
        using var leaving = new CancellationTokenSource();
        var body = JsonSerializer.Serialize(new { query = Query, documents = Enumerable.Repeat(string.Join(' ', Enumerable.Repeat("the server is in Dublin", 80)), 2000) });
        var asking = Server.PostAsync("/rerank", body, cancellationToken: leaving.Token);
        while (Server.Embedder.Statistics.Embedded == before)
            await Task.Yield();
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asking);
        await Server.Services.GetRequiredService<Admission>().WaitForIdleAsync();
        Assert.True(Server.Embedder.Statistics.Embedded - before < 2000);
        await Server.AskAsync("/rerank", $"{{\"query\":\"{Query}\",\"documents\":{JsonSerializer.Serialize(Documents)}}}");
    }

    [Fact]
    public async Task A_full_queue_is_reported_at_once()
    {
        await using var server = new TestServer(options => options.MaxQueuedSequences = 0, isEncoder: true);
        await server.InitializeAsync();
        using var permit = server.Services.GetRequiredService<Admission>().Enter(256, 256);
        using var refused = await server.PostAsync("/rerank", $"{{\"query\":\"{Query}\",\"documents\":{JsonSerializer.Serialize(Documents)}}}", cancellationToken: Token);
        Assert.Equal(429, (int)refused.StatusCode);
        Assert.NotNull(refused.Headers.RetryAfter);
    }

    private static double[] Scores(JsonElement answer) => [.. answer.GetProperty("data").EnumerateArray().Select(item => item.GetProperty("score").GetDouble())];
}
