using System.Net;
using System.Net.Sockets;
using LocalLlm.Tests;
using LocalLlm.Tests.Weights;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;

namespace LocalLlm.Tool.Tests.Serving;

/// <summary>Whatever can be refused before the weights are read is refused by then.</summary>
public sealed class EarlyChecksTests
{
    [Theory]
    [InlineData("no/such.jinja", null, "neither a file nor a template")]
    [InlineData("t.jinja", "{% if %}", "t.jinja")]
    [InlineData("t.jinja", "", "is empty")]
    [InlineData("t.jinja", "{{ messages | nothing_of_that_name }}", "nothing_of_that_name")]
    [InlineData("{{ unclosed", null, "template")]
    public async Task A_chat_template_that_cannot_be_used_stops_every_command(string template, string? content, string says)
    {
        using var folder = new TemporaryFolder();
        if (content is not null)
            folder.Write(template, content);
        var path = content is null && template.Contains('{', StringComparison.Ordinal) ? template : folder[template];
        foreach (var line in (string[][])[["serve", "--port", "0"], ["generate", "--prompt", "a"], ["chat"], ["plan"]])
        {
            var run = await Cli.RunAsync([line[0], "--model", TestPaths.TinyR1, "--device", "cpu", "--chat-template", path, .. line[1..]]);
            Assert.Equal(2, run.ExitCode);
            Assert.Contains("chat_template cannot be used", run.Error, StringComparison.Ordinal);
            Assert.Contains(says, run.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("listening", run.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_chat_template_that_is_not_utf8_is_refused()
    {
        using var folder = new TemporaryFolder();
        folder.Write("t.jinja", [0xff, 0xfe, (byte)'a']);
        var run = await Cli.RunAsync("serve", TestPaths.TinyR1, "--port", "0", "--chat-template", folder["t.jinja"]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("UTF-8", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Small_files_are_read_before_the_weights()
    {
        // One small file of the folder is wrong: loading must fail by it before it begins to read the weights.
        foreach (var (file, content) in new[] { ("generation_config.json", """{"temperature":9}"""), ("tokenizer.json", "{}"), ("tokenizer_config.json", """{"chat_template":"{% if %}"}""") })
        {
            using var folder = new TemporaryFolder();
            foreach (var path in Directory.EnumerateFiles(TestPaths.TinyR1))
            {
                if (Path.GetFileName(path) != file)
                    File.CreateSymbolicLink(folder[Path.GetFileName(path)], path);
            }

            folder.Write(file, content);
            File.Delete(folder["chat_template.jinja"]);
            var phases = new List<string>();
            var failure = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(new() { ModelPath = folder.Path, Device = "cpu" }, new Phases(phases), TestContext.Current.CancellationToken));
            Assert.Contains(file.Split('.')[0], failure.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("reading weights", phases);
        }
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("localhost")]
    [InlineData(null)]
    public async Task A_port_in_use_is_refused(string? host)
    {
        using var taken = new TcpListener(host is null ? IPAddress.Any : IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        var run = await Cli.RunAsync(["serve", TestPaths.TinyR1, "--device", "cpu", "--port", $"{port}", .. host is null ? Array.Empty<string>() : ["--host", host]]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains($":{port} is in use", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--host 203.0.113.7", "is no address of this machine")]
    [InlineData("--host no.such.name.invalid", "is no address and no name")]
    [InlineData("--uds /no/such/folder/socket", "the folder /no/such/folder does not exist")]
    [InlineData("--max-model-len 999999999", "max_model_len is 999999999, but the model knows positions up to")]
    [InlineData("--libtorch /no/where", "libtorch is '/no/where', which has no libtorch_cpu.so")]
    [InlineData("--uds /tmp/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "too long")]
    [InlineData("--ssl-certfile /no/such.pem", "--ssl-certfile")]
    [InlineData("--served-model-name ok \u0001", "--served-model-name")]
    [InlineData("--tokenizer /tmp", "has no tokenizer.json")]
    [InlineData("--skip-tokenizer-init --chat-template {{a}}", "skip_tokenizer_init")]
    [InlineData("--tool-call-parser nobody", "tool_call_parser")]
    [InlineData("--reasoning-parser nobody", "reasoning_parser")]
    [InlineData("--generation-config /tmp", "generation_config")]
    [InlineData("--download-dir /dev/null", "download_dir")]
    public async Task A_server_that_could_not_serve_does_not_start(string options, string says)
    {
        var run = await Cli.RunAsync(["serve", TestPaths.TinyR1, "--device", "cpu", .. options.Contains("--uds", StringComparison.Ordinal) ? Array.Empty<string>() : ["--port", "0"], .. options.Split(' ')]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("listening", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_tokenizer_larger_than_the_embedding_is_refused_with_both_sizes()
    {
        var rows = System.Text.Json.JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(TestPaths.TinyR1, "config.json"), TestContext.Current.CancellationToken)).RootElement.GetProperty("vocab_size").GetInt32();
        foreach (var line in (string[][])[["serve", "--port", "0"], ["generate", "--prompt", "a"]])
        {
            var run = await Cli.RunAsync([line[0], "--model", TestPaths.TinyR1, "--device", "cpu", "--tokenizer", TestPaths.TinyM3, .. line[1..]]);
            Assert.Equal(2, run.ExitCode);
            Assert.Contains($"the model's embedding has {rows} rows", run.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("listening", run.Error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    public async Task An_empty_role_of_answers_is_an_error_of_usage(string role)
    {
        var run = await Cli.RunAsync("serve", TestPaths.TinyR1, "--device", "cpu", "--port", "0", "--response-role", role);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("--response-role: is empty", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_that_is_not_there_is_refused_before_the_server_listens()
    {
        var run = await Cli.RunAsync("serve", TestPaths.TinyR1, "--port", "0", "--device", "cuda:999");
        Assert.NotEqual(0, run.ExitCode);
        Assert.DoesNotContain("listening", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_models_of_one_name_are_refused()
    {
        var run = await Cli.RunAsync("serve", TestPaths.TinyR1, "--port", "0", "--served-model-name", "tiny-m3", "--embedding-model", TestPaths.TinyM3);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("'tiny-m3' is the name of the embedding model", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("generate --prompt a --temperature 9", "temperature")]
    [InlineData("generate --message a --top-p 2", "top_p")]
    [InlineData("generate --prompt a --max-tokens 0", "max_tokens")]
    [InlineData("chat --min-p 3", "min_p")]
    [InlineData("bench throughput --temperature -1", "temperature")]
    [InlineData("bench latency --top-p 0", "top_p")]
    [InlineData("bench latency --input-len 100 --output-len 100 --max-model-len 128", "--max-model-len 128")]
    [InlineData("bench latency --output-json /proc/none", "--output-json")]
    public async Task Options_of_requests_are_checked_before_a_model_is_loaded_for_them(string line, string says)
    {
        var run = await Cli.RunAsync([.. line.Split(' '), "--model", TestPaths.TinyR1, "--device", "cpu"]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_output_of_a_benchmark_that_can_be_written_is_left_as_it_is()
    {
        using var folder = new TemporaryFolder();
        await Cli.RunAsync("bench", "latency", "--model", TestPaths.TinyR1, "--output-json", folder["out.json"], "--top-p", "0");
        Assert.False(File.Exists(folder["out.json"]));
    }

    [Theory]
    [InlineData("MaxRequestBodyBytes", "0")]
    [InlineData("MaxQueuedSequences", "-1")]
    [InlineData("StallTimeout", "00:00:00")]
    [InlineData("ShutdownTimeout", "-00:00:01")]
    [InlineData("DefaultChatTemplateKwargs", "[1]")]
    [InlineData("ResponseRole", " ")]
    [InlineData("ApiKeys:0", "a b")]
    public async Task A_host_application_with_options_out_of_range_does_not_start(string option, string value)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Configuration["LocalLlm:ModelPath"] = TestPaths.TinyR1;
        builder.Configuration[$"LocalLlm:Server:{option}"] = value;
        builder.Services.AddLocalLlmServer();
        var failure = await Assert.ThrowsAsync<OptionsValidationException>(async () =>
        {
            await using var app = builder.Build();
            await app.StartAsync(TestContext.Current.CancellationToken);
        });
        Assert.Contains(option.Split(':')[0], failure.Message, StringComparison.Ordinal);
    }

    private sealed class Phases(List<string> phases) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => phases.Add(value.Phase);
    }
}
