using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Server.Tests.Serving;

/// <summary>A request may name a served model of the wrong kind. The error says what kind of model it is, which routes it serves, and which
/// model to use instead.</summary>
public sealed class ModelNamesTests : IClassFixture<ModelNamesTests.Both>, IClassFixture<EncoderServer>
{
    private readonly TestServer _both;
    private readonly TestServer _encoder;

    public ModelNamesTests(Both both, EncoderServer encoder) => (_both, _encoder) = (both.Server, encoder.Server);

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"tiny-m3","messages":[{"role":"user","content":"a"}]}""")]
    [InlineData("/v1/chat/completions", """{"model":"tiny-m3","messages":[{"role":"user","content":"a"}],"stream":true}""")]
    [InlineData("/v1/completions", """{"model":"tiny-m3","prompt":"a"}""")]
    public Task An_embedding_model_is_not_asked_for_text(string path, string body) =>
        AssertAsync(_both, path, body, 400, "model_not_supported", "'tiny-m3' is an embedding model", "/v1/embeddings, /rerank and /score", "Use 'tiny-r1' here");

    [Theory]
    [InlineData("/v1/embeddings", """{"model":"tiny-r1","input":"a"}""")]
    [InlineData("/rerank", """{"model":"alias","query":"a","documents":["b"]}""")]
    [InlineData("/v1/rerank", """{"model":"tiny-r1","query":"a","documents":["b"]}""")]
    [InlineData("/v2/rerank", """{"model":"tiny-r1","query":"a","documents":["b"]}""")]
    [InlineData("/score", """{"model":"tiny-r1","text_1":"a","text_2":"b"}""")]
    [InlineData("/v1/score", """{"model":"alias","text_1":"a","text_2":"b"}""")]
    public Task A_generator_is_not_asked_for_embeddings(string path, string body) =>
        AssertAsync(_both, path, body, 400, "model_not_supported", body.Contains("alias", StringComparison.Ordinal) ? "'alias' generates text" : "'tiny-r1' generates text", "/v1/chat/completions or /v1/completions", "Use 'tiny-m3' here");

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"x","messages":[{"role":"user","content":"a"}]}""", "served: tiny-r1, alias.")]
    [InlineData("/v1/embeddings", """{"model":"x","input":"a"}""", "served: tiny-m3.")]
    [InlineData("/tokenize", """{"model":"x","prompt":"a"}""", "served: tiny-r1, alias, tiny-m3.")]
    [InlineData("/detokenize", """{"model":"x","tokens":[1]}""", "served: tiny-r1, alias, tiny-m3.")]
    public Task An_unknown_name_is_answered_with_the_names_that_the_route_takes(string path, string body, string served) =>
        AssertAsync(_both, path, body, 404, "model_not_found", "'x' is not served", served);

    [Fact]
    public Task A_chat_is_no_text_of_an_embedding_model() =>
        AssertAsync(_both, "/tokenize", """{"model":"tiny-m3","messages":[{"role":"user","content":"a"}]}""", 400, null, "'tiny-m3' is an embedding model", "use 'tiny-r1'");

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"tiny-m3","messages":[{"role":"user","content":"a"}]}""")]
    [InlineData("/v1/completions", """{"prompt":"a"}""")]
    public Task An_encoder_alone_says_what_it_is(string path, string body) =>
        AssertAsync(_encoder, path, body, 400, "model_not_supported", "'tiny-m3' is an embedding model", "/v1/embeddings, /rerank and /score");

    private static async Task AssertAsync(TestServer server, string path, string body, int status, string? code, params string[] says)
    {
        using var response = await server.PostAsync(path, body, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(status, (int)response.StatusCode);
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement.GetProperty("error");
        Assert.Equal(code, error.GetProperty("code").GetString());
        foreach (var part in says)
            Assert.Contains(part, error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    public sealed class Both : IAsyncLifetime
    {
        internal TestServer Server { get; } = new(options => options.ModelAliases = ["alias"], embeddingModel: TestPaths.TinyM3);

        public ValueTask InitializeAsync() => Server.InitializeAsync();

        public ValueTask DisposeAsync() => Server.DisposeAsync();
    }
}
