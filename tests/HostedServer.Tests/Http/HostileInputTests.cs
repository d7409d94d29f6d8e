using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LocalLlm.Server.Tests.Serving;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

public sealed class HostileInputTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Canary = """{"prompt":"The capital of France is","temperature":0,"max_tokens":1}""";
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(30);

    public static TheoryData<int, string> Inputs
    {
        get
        {
            var data = new TheoryData<int, string>();
            for (var i = 0; i < HostileInputs.All.Count; i++)
                data.Add(i, HostileInputs.All[i].Name.Replace('\0', '0'));
            return data;
        }
    }

    [Fact]
    public void There_are_more_than_210_of_them() => Assert.True(HostileInputs.All.Count > 210, HostileInputs.All.Count.ToString(CultureInfo.InvariantCulture));

    [Theory]
    [MemberData(nameof(Inputs))]
    public async Task It_is_refused_as_the_contract_says_and_harms_no_other_request(int index, string name)
    {
        var input = HostileInputs.All[index];
        var watch = Stopwatch.StartNew();
        using var response = await server.PostAsync(input.Path, input.Body, input.ContentType, TestContext.Current.CancellationToken);
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(watch.Elapsed < Longest, name);
        Assert.True((int)response.StatusCode == input.Status, $"{(int)response.StatusCode}: {text}");
        Assert.Equal("application/json", response.Content.Headers.ContentType!.MediaType);
        AssertError(text, input.Param, input.Code);
        Assert.Equal(" Paris", (await server.AskAsync("/v1/completions", Canary)).GetProperty("choices")[0].GetProperty("text").GetString());
        // The engine has handled all aborts by now: the canary request came after them.
        Assert.Equal(server.Engine.Statistics.KvBlocksTotal, server.Engine.Statistics.KvBlocksFree);
    }

    internal static void AssertError(string text, string? param, string? code)
    {
        var error = JsonDocument.Parse(text).RootElement.GetProperty("error");
        Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(member => member.Name));
        Assert.True(error.GetProperty("param").GetString() == param && error.GetProperty("code").GetString() == code, text);
        var message = error.GetProperty("message").GetString()!;
        Assert.InRange(message.Length, 10, 4000);
        foreach (var leak in (string[])["LocalLlm.", "System.", "Exception", "/work", "/root", "/home", ".cs", "0x", "   at "])
            Assert.DoesNotContain(leak, message, StringComparison.Ordinal);
    }
}
