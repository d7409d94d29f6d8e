using System.ClientModel;
using System.Text.Json;
using LocalLlm.Server.Http;
using LocalLlm.Server.Tests.Serving;
using LocalLlm.Tests;
using Microsoft.Extensions.DependencyInjection;
using OpenAI;
using Xunit;

namespace LocalLlm.Server.Tests.OpenAI;

/// <summary>An embedding model beside a chat model.</summary>
public sealed class EmbeddingsTests
{
    private const string Path = "/v1/embeddings";

    [Fact]
    public async Task Every_kind_of_input_and_format_gives_the_same_vectors()
    {
        await using var server = await StartAsync();
        var text = await server.AskAsync(Path, """{"input":"the server is in Dublin"}""");
        Assert.Equal("tiny-m3", text.GetProperty("model").GetString());
        var vector = Floats(text.GetProperty("data")[0].GetProperty("embedding"));
        Assert.Equal(192, vector.Length);
        Assert.Equal(1, vector.Sum(value => (double)value * value), 1e-5);
        Assert.Equal(text.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), text.GetProperty("usage").GetProperty("total_tokens").GetInt32());

        var several = await server.AskAsync(Path, """{"model":"tiny-m3","input":["a","the server is in Dublin"],"encoding_format":"base64","dimensions":192}""");
        var bytes = Convert.FromBase64String(several.GetProperty("data")[1].GetProperty("embedding").GetString()!);
        var decoded = Enumerable.Range(0, 192).Select(i => BitConverter.ToSingle(bytes, 4 * i)).ToArray();
        Assert.True(vector.Zip(decoded).Max(pair => MathF.Abs(pair.First - pair.Second)) < 1e-5f);
        await OpenApi(text);
        Assert.StartsWith("embd-", text.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.True(text.GetProperty("created").GetInt64() > 1_700_000_000);
        Assert.Equal("embd-mine", (await server.AskAsync(Path, """{"input":"a","request_id":"mine"}""")).GetProperty("id").GetString());

        var openAi = new OpenAIClient(new ApiKeyCredential("any"), new OpenAIClientOptions { Endpoint = new(server.Address, "/v1") }).GetEmbeddingClient("tiny-m3");
        var made = (await openAi.GenerateEmbeddingAsync("the server is in Dublin", null, TestContext.Current.CancellationToken)).Value.ToFloats().ToArray();
        Assert.True(vector.Zip(made).Max(pair => MathF.Abs(pair.First - pair.Second)) < 1e-5f);
    }

    [Theory]
    [InlineData("""{"input":"a","dimensions":64}""", 400, "dimensions", "unsupported_parameter")]
    [InlineData("""{"input":"a","model":"tiny-r1"}""", 400, "model", "model_not_supported")]
    [InlineData("""{"input":"a","model":"x"}""", 404, "model", "model_not_found")]
    [InlineData("""{"input":[]}""", 400, "input", null)]
    [InlineData("""{"input":[[]]}""", 400, "input", null)]
    [InlineData("""{"input":["a",1]}""", 400, "input[1]", null)]
    [InlineData("""{"input":[1.5]}""", 400, "input[0]", null)]
    [InlineData("""{"input":[99999999]}""", 400, "input", null)]
    [InlineData("""{"input":"a","encoding_format":"hex"}""", 400, "encoding_format", null)]
    [InlineData("""{"input":"a","truncate_prompt_tokens":2}""", 400, "truncate_prompt_tokens", null)]
    [InlineData("""{"input":"a","truncate_prompt_tokens":-2}""", 400, "truncate_prompt_tokens", null)]
    [InlineData("""{"input":"a","truncate_prompt_tokens":513}""", 400, "truncate_prompt_tokens", null)]
    [InlineData("""{"input":[5,6],"truncate_prompt_tokens":5}""", 400, "truncate_prompt_tokens", null)]
    [InlineData("""{"input":"a","truncation_side":"left"}""", 400, "truncation_side", "unsupported_parameter")]
    [InlineData("""{"input":"a","priority":1}""", 400, "priority", "unsupported_parameter")]
    [InlineData("""{"input":"a","priority":"high"}""", 400, "priority", null)]
    public async Task What_cannot_be_embedded_is_refused(string body, int status, string param, string? code)
    {
        await using var server = await StartAsync();
        using var response = await server.PostAsync(Path, body, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(status, (int)response.StatusCode);
        Http.HostileInputTests.AssertError(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), param, code);
    }

    [Fact]
    public async Task A_text_is_cut_where_that_is_asked_for()
    {
        await using var server = await StartAsync();
        var words = string.Join(' ', Enumerable.Repeat("server", 2000));
        foreach (var (length, tokens) in ((int, int)[])[(-1, 512), (512, 512), (3, 3), (40, 40)])
        {
            var made = await server.AskAsync(Path, $$"""{"input":"{{words}}","truncate_prompt_tokens":{{length}},"truncation_side":"right"}""");
            Assert.Equal(tokens, made.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
        }
    }

    [Fact]
    public async Task Options_that_request_the_default_behaviour_may_be_given()
    {
        await using var server = await StartAsync();
        const string neutral = "\"add_special_tokens\":true,\"normalize\":true,\"use_activation\":true,\"activation\":true,\"softmax\":false,\"truncation\":false,\"truncate\":\"NONE\",\"embed_dtype\":\"float32\",\"endianness\":\"little\",\"priority\":0,\"user\":\"me\",\"cache_salt\":null";
        var plain = Floats((await server.AskAsync(Path, """{"input":"a"}""")).GetProperty("data")[0].GetProperty("embedding"));
        foreach (var body in (string[])[$"{{\"input\":\"a\",{neutral}}}", $"{{\"input\":\"a\",{neutral.Replace("little", "native", StringComparison.Ordinal)}}}"])
            Assert.Equal(plain, Floats((await server.AskAsync(Path, body)).GetProperty("data")[0].GetProperty("embedding")));
        await server.AskAsync("/rerank", $"{{\"query\":\"a\",\"documents\":[\"a\"],{neutral}}}");
        await server.AskAsync("/score", $"{{\"text_1\":\"a\",\"text_2\":\"a\",{neutral}}}");
    }

    [Theory]
    [InlineData("""{"input":[null]}""", "input[0]: given null, allowed a text")]
    [InlineData("""{"input":["a",true]}""", "input[1]: given true, allowed a text, as the first is")]
    [InlineData("""{"input":5}""", "input: given 5, allowed a text")]
    [InlineData("""{"input":{}}""", "input: given an object, allowed a text")]
    public async Task A_refusal_says_what_was_found_and_where(string body, string expected)
    {
        await using var server = await StartAsync();
        using var response = await server.PostAsync(Path, body, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Contains(expected, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Long_lists_take_more_of_the_queue_than_single_texts()
    {
        await using var server = new TestServer(options => options.MaxQueuedSequences = 0, null, embeddingModel: TestPaths.TinyM3);
        await server.InitializeAsync();
        var admission = server.Services.GetRequiredService<Admission>();
        using var held = admission.Enter(200, max: 256);
        using var full = await server.PostAsync(Path, JsonSerializer.Serialize(new { input = Enumerable.Repeat("a", 2048) }), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(System.Net.HttpStatusCode.TooManyRequests, full.StatusCode);
        await server.AskAsync(Path, JsonSerializer.Serialize(new { input = Enumerable.Repeat("a", 20) }));
    }

    [Fact]
    public async Task Both_models_are_listed()
    {
        await using var server = await StartAsync();
        var models = await server.Client.GetStringAsync(new Uri("/v1/models", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Contains("\"id\":\"tiny-r1\"", models, StringComparison.Ordinal);
        Assert.Contains("\"id\":\"tiny-m3\"", models, StringComparison.Ordinal);
    }

    private static async Task<TestServer> StartAsync()
    {
        var server = new TestServer(null, null, embeddingModel: TestPaths.TinyM3);
        await server.InitializeAsync();
        return server;
    }

    private static async Task OpenApi(JsonElement answer)
    {
        var errors = (await OpenApiSchemas.OfAsync("CreateEmbeddingResponse")).Validate(answer.GetRawText());
        Assert.True(errors.Count == 0, string.Join("; ", errors));
    }

    private static float[] Floats(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetSingle())];
}
