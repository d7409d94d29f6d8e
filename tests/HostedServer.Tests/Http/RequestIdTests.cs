using LocalLlm.Server.Tests.Serving;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

/// <summary>Ids that identify a request in logs and responses.</summary>
public sealed class RequestIdTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Ids_of_requests_come_back_where_they_are_ids()
    {
        await using var server = new TestServer(options => options.EnableRequestIdHeaders = true);
        await server.InitializeAsync();
        foreach (var (given, isKept) in ((string, bool)[])[("abc-1.2_X", true), ("a b", false), (new string('a', 129), false)])
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("/v1/completions", UriKind.Relative)) { Content = new StringContent("""{"prompt":"a","max_tokens":1}""", null, "application/json") };
            request.Headers.TryAddWithoutValidation("X-Request-Id", given);
            using var answer = await server.Client.SendAsync(request, Token);
            Assert.Equal(isKept, answer.Headers.GetValues("X-Request-Id").Single() == given);
            Assert.Equal(isKept, (await answer.Content.ReadAsStringAsync(Token)).Contains($"cmpl-{given}\"", StringComparison.Ordinal));
        }
    }
}
