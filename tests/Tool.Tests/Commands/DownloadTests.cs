using LocalLlm.Tests;
using LocalLlm.Tests.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

public sealed class DownloadTests : IAsyncLifetime, IDisposable
{
    private readonly TemporaryFolder _home = new();
    private FakeHub _hub = null!;

    public async ValueTask InitializeAsync() => _hub = await FakeHub.StartAsync();

    public ValueTask DisposeAsync() => _hub.DisposeAsync();

    public void Dispose() => _home.Dispose();

    [Theory]
    [InlineData("hf/hub/models--org--tiny-r1/snapshots/" + FakeHub.Commit)]
    [InlineData("ms/models/org/tiny-r1", "--hub", "modelscope")]
    [InlineData("other/models--org--tiny-r1/snapshots/" + FakeHub.Commit, "--cache-dir", "other")]
    [InlineData("other/models--org--tiny-r1/snapshots/" + FakeHub.Commit, "--download_dir", "other")]
    [InlineData("here", "--local-dir", "here")]
    public async Task A_download_says_what_it_fetches_and_prints_the_folder(string folder, params string[] options)
    {
        var run = await RunAsync(["download", FakeHub.Repository, .. options.Select(option => option is "other" or "here" ? _home[option] : option)]);
        Assert.Equal((0, ""), (run.ExitCode, run.ExitCode == 0 ? "" : run.Error));
        Assert.Equal(_home[folder], Assert.Single(run.Lines));
        Assert.Equal(5, run.Error.Split('\n').Count(line => line.StartsWith("downloaded ", StringComparison.Ordinal)));
        Assert.Equal(_hub.Files["model.safetensors"], await File.ReadAllBytesAsync(Path.Combine(_home[folder], "model.safetensors"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Offline_and_refusals_are_one_line_and_a_failure()
    {
        var offline = await RunAsync("download", FakeHub.Repository, "--offline");
        Assert.Equal(1, offline.ExitCode);
        Assert.Single(offline.Error.TrimEnd().Split('\n'));
        Assert.Empty(_hub.Requests);

        Assert.Equal(1, (await RunAsync("download", "org/nothing", "--token", "secret-token")).ExitCode);
        Assert.Contains(_hub.Requests, seen => seen.Headers.TryGetValue("Authorization", out var token) && token == "Bearer secret-token");
        Assert.Equal(1, (await RunAsync("download", "/no/where")).ExitCode);
        Assert.Equal(2, (await RunAsync("download", FakeHub.Repository, "--hub", "ollama")).ExitCode);
        Assert.Equal(2, (await RunAsync("download")).ExitCode);
        Assert.Equal(TestPaths.TinyR1, Assert.Single((await RunAsync("download", TestPaths.TinyR1)).Lines));
    }

    [Fact]
    public async Task Commands_download_what_they_need_and_then_work_without_a_network()
    {
        var tokenized = await RunAsync("tokenize", FakeHub.Repository, "--input", WriteLine("""{"text":"hello"}"""));
        Assert.Equal((0, 1), (tokenized.ExitCode, tokenized.Lines.Length));
        Assert.Empty(_hub.Downloads("model.safetensors"));

        var generated = await RunAsync("generate", FakeHub.Repository, "--message", "What is 58 + 27?", "--temperature", "0", "--dtype", "float32");
        Assert.Equal(0, generated.ExitCode);
        Assert.Contains("85", generated.Output, StringComparison.Ordinal);

        await _hub.DisposeAsync();
        var planned = await RunAsync("plan", FakeHub.Repository);
        Assert.Equal(0, planned.ExitCode);
        Assert.Contains(FakeHub.Repository, planned.Output, StringComparison.Ordinal);
        Assert.StartsWith("warning: ", planned.Error, StringComparison.Ordinal);
    }

    private string WriteLine(string line)
    {
        _home.Write("lines.jsonl", line + "\n");
        return _home["lines.jsonl"];
    }

    private Task<Cli.Run> RunAsync(params string[] args) => Cli.WithVariablesAsync(
        name => name switch
        {
            "HF_ENDPOINT" or "MODELSCOPE_DOMAIN" => _hub.Endpoint,
            "HF_HOME" => _home["hf"],
            "MODELSCOPE_CACHE" => _home["ms"],
            _ => null,
        },
        args);
}
