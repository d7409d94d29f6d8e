using System.Diagnostics;
using System.Globalization;
using LocalLlm.Server.Http;
using LocalLlm.Server.Tests.Serving;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

public sealed class HostileRankingTests(EncoderServer encoder) : IClassFixture<EncoderServer>
{
    private const string Canary = """{"query":"Where does Mona Hall live?","documents":["The moon is far.","Mona Hall lives in Osaka."]}""";
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(30);

    public static TheoryData<int, string> Inputs
    {
        get
        {
            var data = new TheoryData<int, string>();
            for (var i = 0; i < HostileRankings.All.Count; i++)
                data.Add(i, HostileRankings.All[i].Name);
            return data;
        }
    }

    [Fact]
    public void There_are_more_than_250_of_them() => Assert.True(HostileRankings.All.Count > 250, HostileRankings.All.Count.ToString(CultureInfo.InvariantCulture));

    [Theory]
    [MemberData(nameof(Inputs))]
    public async Task It_is_refused_as_the_contract_says_and_harms_no_other_request(int index, string name)
    {
        var input = HostileRankings.All[index];
        var watch = Stopwatch.StartNew();
        using var response = await encoder.Server.PostAsync(input.Path, input.Body, input.ContentType, TestContext.Current.CancellationToken);
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(watch.Elapsed < Longest, name);
        Assert.True((int)response.StatusCode == input.Status, $"{(int)response.StatusCode}: {text[..Math.Min(text.Length, 2000)]}");
        Assert.Equal("application/json", response.Content.Headers.ContentType!.MediaType);
        HostileInputTests.AssertError(text, input.Param, input.Code);
        var canary = await encoder.Server.AskAsync("/rerank", Canary);
        Assert.Equal(1, canary.GetProperty("results")[0].GetProperty("index").GetInt32());
        Assert.Equal(0, encoder.Server.Embedder.Statistics.Waiting);
        await encoder.Server.Services.GetRequiredService<Admission>().WaitForIdleAsync();
    }
}
