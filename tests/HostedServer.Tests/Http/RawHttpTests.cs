using System.Globalization;
using System.IO.Compression;
using System.Text;
using LocalLlm.Server.Tests.Serving;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

/// <summary>Bytes that are not HTTP, and requests that can be understood in two ways.</summary>
public sealed class RawHttpTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Post = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    private const string Body = """{"prompt":"The capital of France is","temperature":0,"max_tokens":1}""";

    public static TheoryData<string, string, int> Requests => new()
    {
        { "no request at all", "hello\r\n\r\n", 400 },
        { "an unknown version", "GET /health HTTP/3.7\r\nHost: a\r\n\r\n", 505 },
        { "no host", "GET /health HTTP/1.1\r\n\r\n", 400 },
        { "two hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400 },
        { "a host with a path", "GET /v1/models HTTP/1.1\r\nHost: x/health?\r\n\r\n", 400 },
        { "a header of 33 KiB", $"GET /health HTTP/1.1\r\nHost: a\r\nX: {new string('a', 33 << 10)}\r\n\r\n", 431 },
        { "102 headers", $"GET /health HTTP/1.1\r\nHost: a\r\n{string.Concat(Enumerable.Range(0, 102).Select(i => $"X{i}: 1\r\n"))}\r\n", 431 },
        { "a path of 9 KiB", $"GET /{new string('a', 9 << 10)} HTTP/1.1\r\nHost: a\r\n\r\n", 414 },
        { "a space in a header's name", "GET /health HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", 400 },
        { "a NUL in a header", "GET /health HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400 },
        { "a NUL in the path", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
        { "a length below zero", Post + "Content-Length: -1\r\n\r\n", 400 },
        { "a length that is not a number", Post + "Content-Length: x\r\n\r\n", 400 },
        { "two lengths", Post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400 },
        { "a length beyond 64 bits", Post + "Content-Length: 99999999999999999999\r\n\r\n", 400 },
        { "a length beyond the limit", Post + "Content-Length: 9000000000\r\n\r\n", 413 },
        { "a bad chunk", Post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400 },
        { "a chunk that goes on after its end", Post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}zz\r\n0\r\n\r\n", 400 },
        { "a chunk of 64 bits", Post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n0\r\n\r\n", 400 },
        { "a chunk of 32 bits", Post + "Transfer-Encoding: chunked\r\n\r\n80000000\r\n{}\r\n0\r\n\r\n", 400 },
        { "a chunk beyond all bits", Post + $"Transfer-Encoding: chunked\r\n\r\n{new string('f', 40)}\r\n{{}}\r\n0\r\n\r\n", 400 },
        { "a later chunk of 64 bits", Post + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\nffffffffffffffff\r\n}\r\n0\r\n\r\n", 400 },
        { "a chunk below zero", Post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n", 400 },
        { "a chunk without a size", Post + "Transfer-Encoding: chunked\r\n\r\n\r\n{}\r\n0\r\n\r\n", 400 },
        { "a bad trailer", Post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nno trailer\r\n\r\n", 400 },
        { "a NUL in a trailer", Post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nA: \0\r\n\r\n", 400 },
        { "a compressed body in chunks", Post + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400 },
        { "both a length and chunks", Post + $"Content-Length: {Body.Length}\r\nTransfer-Encoding: chunked\r\n\r\n{Body.Length:x}\r\n{Body}\r\n0\r\n\r\n", 400 },
        { "an unknown transfer encoding", Post + "Transfer-Encoding: gzip\r\n\r\n{}", 400 },
        { "a method of the caller's own", "BREW /v1/models HTTP/1.1\r\nHost: a\r\n\r\n", 405 },
        { "a proxy's method", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405 },
        { "a body that is not UTF-8", Post + "Content-Length: 14\r\n\r\n{\"prompt\":\"\u00ff\"}", 400 },
        { "a body that says it is compressed", Post + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415 },
        { "a BOM and nothing", Post + "Content-Length: 3\r\n\r\n\u00ef\u00bb\u00bf", 400 },
    };

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task It_is_refused_and_the_next_request_is_answered(string name, string request, int status)
    {
        var answer = await server.RawAsync(Encoding.Latin1.GetBytes(request));
        Assert.True(answer.StartsWith(string.Create(CultureInfo.InvariantCulture, $"HTTP/1.1 {status} "), StringComparison.Ordinal), $"{name}: {answer}");
        Assert.Contains("Paris", await server.RawAsync(Encoding.UTF8.GetBytes($"{Post}Content-Length: {Body.Length}\r\n\r\n{Body}")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bom_before_an_object_is_skipped()
    {
        var answer = await server.RawAsync([.. Encoding.UTF8.GetBytes($"{Post}Content-Length: {Body.Length + 3}\r\n\r\n"), 0xef, 0xbb, 0xbf, .. Encoding.UTF8.GetBytes(Body)]);
        Assert.Contains("Paris", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_compressed_body_is_not_unpacked()
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write(Encoding.UTF8.GetBytes(Body));
        var answer = await server.RawAsync([.. Encoding.UTF8.GetBytes($"{Post}Content-Encoding: gzip\r\nContent-Length: {packed.Length}\r\n\r\n"), .. packed.ToArray()]);
        Assert.StartsWith("HTTP/1.1 415 ", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Chunks_without_end_are_cut_at_the_limit()
    {
        var chunk = Encoding.ASCII.GetBytes($"100000\r\n{new string(' ', 1 << 20)}\r\n");
        var answer = await server.RawAsync([.. Encoding.ASCII.GetBytes(Post + "Transfer-Encoding: chunked\r\n\r\n"), .. Enumerable.Repeat(chunk, 12).SelectMany(bytes => bytes)]);
        Assert.StartsWith("HTTP/1.1 413 ", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_that_ends_too_early_harms_no_other_request()
    {
        await server.RawAsync(Encoding.ASCII.GetBytes(Post + "Content-Length: 100\r\n\r\n{\"prompt\":"), closesWrite: true);
        Assert.Contains("Paris", await server.RawAsync(Encoding.UTF8.GetBytes($"{Post}Content-Length: {Body.Length}\r\n\r\n{Body}")), StringComparison.Ordinal);
    }
}
