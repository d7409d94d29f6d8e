using System.Diagnostics;
using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Serving;

/// <summary>The program as a separate process, from its first line to its exit code.</summary>
public sealed class ProcessTests
{
    private const string Short = """{"prompt":"Once upon a time","max_tokens":400,"ignore_eos":true,"stream":true}""";
    private const string Long = """{"prompt":"Once upon a time","max_tokens":1900,"n":32,"temperature":1,"ignore_eos":true,"stream":true}""";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0, 1)]
    [InlineData(30, 1)]
    [InlineData(30, 2)]
    public async Task A_signalled_process_ends_with_exit_code_0(int grace, int signals)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "localllm.dll"), "serve", TestPaths.TinyR1, "--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--shutdown-timeout", $"{grace}"]) { RedirectStandardError = true };
        using var process = Process.Start(start)!;
        string? address = null;
        while (address is null && await process.StandardError.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
            address = line.StartsWith("listening on ", StringComparison.Ordinal) ? line["listening on ".Length..] : null;
        _ = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        using var client = new HttpClient { BaseAddress = new(address!) };
        while (!(await client.GetAsync(new Uri("/ready", UriKind.Relative), TestContext.Current.CancellationToken)).IsSuccessStatusCode)
        {
        }

        // With one signal the response is short enough to finish; with two signals it is not.
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("/v1/completions", UriKind.Relative)) { Content = new StringContent(grace > 0 && signals == 1 ? Short : Long, null, "application/json") };
        using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        var stream = await answer.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken);
        await stream.ReadExactlyAsync(new byte[16], TestContext.Current.CancellationToken);
        Kill(process.Id);
        if (signals > 1)
        {
            // The server has seen the first signal once it admits no new requests.
            while ((await client.GetAsync(new Uri("/ready", UriKind.Relative), TestContext.Current.CancellationToken)).IsSuccessStatusCode)
            {
            }

            Kill(process.Id);
        }

        using var reader = new StreamReader(stream);
        var text = await reader.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.EndsWith("data: [DONE]\n\n", text, StringComparison.Ordinal);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, process.ExitCode);
        Assert.Equal(grace > 0 && signals == 1, !text.Contains("\"code\":\"shutting_down\"", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_program_tells_an_encoder_by_itself_and_serves_it()
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "localllm.dll"), "serve", TestPaths.TinyM3, "--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--served-model-name", "m3", "other", "--score-weights", "1,0,0"]) { RedirectStandardError = true };
        using var process = Process.Start(start)!;
        string? address = null;
        while (address is null && await process.StandardError.ReadLineAsync(Token) is { } line)
            address = line.StartsWith("listening on ", StringComparison.Ordinal) ? line["listening on ".Length..] : null;
        _ = process.StandardError.ReadToEndAsync(Token);
        using var client = new HttpClient { BaseAddress = new(address!) };
        while (!(await client.GetAsync(new Uri("/ready", UriKind.Relative), Token)).IsSuccessStatusCode)
        {
        }

        using var answer = await client.PostAsync(new Uri("/rerank", UriKind.Relative), new StringContent("""{"model":"other","query":"a","documents":["b","a"]}""", null, "application/json"), Token);
        var ranked = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Token)).RootElement;
        Assert.Equal("m3", ranked.GetProperty("model").GetString());
        Assert.Equal(1, ranked.GetProperty("results")[0].GetProperty("relevance_score").GetDouble(), 1e-4);
        using var kill = Process.Start("kill", $"-TERM {process.Id}");
        await process.WaitForExitAsync(Token);
        Assert.Equal(0, process.ExitCode);
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_ends_the_process_with_a_failure()
    {
        var folder = Directory.CreateTempSubdirectory("localllm");
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "localllm.dll"), "serve", folder.FullName, "--host", "127.0.0.1", "--port", "0"]) { RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        folder.Delete();
        Assert.Equal(1, process.ExitCode);
        Assert.Contains($"error: The folder '{folder.FullName}' is empty", errors, StringComparison.Ordinal);
        Assert.DoesNotContain("listening", errors, StringComparison.Ordinal);
    }

    private static void Kill(int process)
    {
        using var kill = Process.Start("kill", $"-TERM {process}");
        kill.WaitForExit();
    }
}
