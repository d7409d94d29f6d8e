using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

public class PlanAndBenchTests
{
    [Fact]
    public async Task A_plan_is_a_table_for_people_and_json_for_machines()
    {
        string[] options = ["plan", TestPaths.TinyR1, "--max-model-len", "1K", "--num-gpu-blocks-override", "100"];
        var table = await Cli.RunAsync(options);
        Assert.Equal(0, table.ExitCode);
        foreach (var row in new[] { "Weights", "Activations", "KV cache", "1,600", "1,024", "1.56x" })
            Assert.Contains(row, table.Output, StringComparison.Ordinal);

        var json = JsonTest.Parse((await Cli.RunAsync([.. options, "--json"])).Output);
        Assert.Equal((100, 16, 1024, 1600), (Number("num_blocks"), Number("block_size"), Number("max_model_len"), Number("kv_cache_tokens")));
        Assert.Equal(Number("num_blocks") * Number("bytes_per_block"), Number("kv_cache_bytes"));
        Assert.True(Number("weight_bytes") > 1 << 20 && Number("activation_bytes") > 0 && Number("budget_bytes") <= Number("available_bytes"));

        long Number(string name) => json.GetProperty(name).GetInt64();
    }

    [Theory]
    [InlineData(true, "plan", "MODEL")]
    [InlineData(true, "generate", "MODEL", "--prompt", "q", "--max-tokens", "1")]
    [InlineData(true, "chat", "MODEL")]
    [InlineData(false, "embed", "MODEL", "--input", "-")]
    public async Task Warnings_about_a_checkpoint_reach_standard_error_of_every_command(bool generates, params string[] args)
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var model = generates ? TestPaths.TinyR1 : TestPaths.TinyM3;
            foreach (var file in Directory.EnumerateFiles(model, "*", SearchOption.AllDirectories))
            {
                var copy = Path.Combine(folder.FullName, Path.GetRelativePath(model, file));
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.Copy(file, copy);
            }

            await File.WriteAllTextAsync(Path.Combine(folder.FullName, "model.safetensors.index.json"), "{}", TestContext.Current.CancellationToken);
            var run = await Cli.WithInputAsync(generates ? "" : "{\"input\":\"x\"}\n", [.. args.Select(arg => arg == "MODEL" ? folder.FullName : arg)]);
            Assert.Equal(0, run.ExitCode);
            Assert.Contains(": model.safetensors.index.json: weight_map: is missing", run.Error, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_plan_that_does_not_fit_is_one_error()
    {
        var run = await Cli.RunAsync("plan", TestPaths.TinyR1, "--kv-cache-memory-bytes", "64KiB", "--max-model-len", "2048");
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("error: Not enough memory", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Throughput_counts_every_token()
    {
        var report = await ReportAsync("bench", "throughput", TestPaths.TinyR1, "--num-prompts", "5", "--input-len", "20", "--output-len", "6", "--num-iters-warmup", "1");
        Assert.Equal((5, 5 * 26), (report.GetProperty("num_requests").GetInt32(), report.GetProperty("total_num_tokens").GetInt32()));
        var elapsed = report.GetProperty("elapsed_time").GetDouble();
        Assert.Equal(5 / elapsed, report.GetProperty("requests_per_second").GetDouble(), 6);
        Assert.Equal(30 / elapsed, report.GetProperty("output_tokens_per_second").GetDouble(), 6);
        Assert.True(report.GetProperty("steps").GetInt32() >= 6);
        // A late reader sees two tokens at once, so the gap between them may round to zero.
        foreach (var times in new[] { "ttft_ms", "itl_ms", "e2el_ms" })
            Assert.InRange(report.GetProperty(times).GetProperty("p50").GetDouble(), 0, report.GetProperty(times).GetProperty("p99").GetDouble());
    }

    [Fact]
    public async Task A_workload_with_requests_of_its_own_takes_no_other_lengths()
    {
        var run = await Cli.RunAsync("bench", "throughput", TestPaths.TinyR1, "--dataset-name", "nano-vllm", "--input-len", "5");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("--input-len", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Latency_measures_every_batch()
    {
        var report = await ReportAsync("bench", "latency", TestPaths.TinyR1, "--batch-size", "2", "--num-iters", "3", "--num-iters-warmup", "0", "--input-len", "8", "--output-len", "4");
        var latencies = report.GetProperty("latencies").EnumerateArray().Select(latency => latency.GetDouble()).ToArray();
        Assert.Equal(3, latencies.Length);
        Assert.Equal(latencies.Average(), report.GetProperty("avg_latency").GetDouble(), 9);
        Assert.Equal(latencies.Order().ElementAt(1), report.GetProperty("percentiles").GetProperty("50").GetDouble(), 9);
    }

    [Fact]
    public async Task Served_requests_arrive_at_the_rate_and_wait_for_a_place()
    {
        var report = await ReportAsync(
            "bench", "serve", TestPaths.TinyR1, "--num-prompts", "12", "--request-rate", "200", "--max-concurrency", "2", "--input-len", "20", "--output-len", "6", "--num-iters-warmup", "1");
        Assert.Equal((12, 240, 72), (report.GetProperty("completed").GetInt32(), report.GetProperty("total_input_tokens").GetInt32(), report.GetProperty("total_output_tokens").GetInt32()));
        Assert.InRange(report.GetProperty("max_concurrent_requests").GetInt32(), 1, 2);
        Assert.Equal(200, report.GetProperty("request_rate").GetDouble());
        foreach (var times in new[] { "ttft_ms", "tpot_ms", "itl_ms", "e2el_ms" })
            Assert.InRange(report.GetProperty(times).GetProperty("p50").GetDouble(), 0, report.GetProperty(times).GetProperty("p99").GetDouble());
    }

    [Theory]
    [InlineData("--request-rate", "0")]
    [InlineData("--burstiness", "-1")]
    [InlineData("--max-concurrency", "0")]
    public async Task A_pace_that_no_request_could_keep_is_refused(string option, string value)
    {
        var run = await Cli.RunAsync("bench", "serve", TestPaths.TinyR1, option, value);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(option, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_name_both_benchmarks_run()
    {
        var report = await ReportAsync(
            "bench", "--model", TestPaths.TinyR1, "--num-prompts", "2", "--batch-size", "1", "--num-iters", "1", "--num-iters-warmup", "0", "--input-len", "8", "--output-len", "4");
        Assert.True(report.TryGetProperty("throughput", out _) && report.TryGetProperty("latency", out _));
    }

    private static async Task<System.Text.Json.JsonElement> ReportAsync(params string[] args)
    {
        var path = Path.GetTempFileName();
        try
        {
            var run = await Cli.RunAsync([.. args, "--output-json", path]);
            Assert.Equal((0, ""), (run.ExitCode, run.Error));
            Assert.Contains("time to first token", run.Output, StringComparison.Ordinal);
            return JsonTest.Parse(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
