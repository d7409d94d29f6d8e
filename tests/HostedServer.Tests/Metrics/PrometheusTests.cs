using System.Globalization;
using LocalLlm.Server.Metrics;
using LocalLlm.Server.Tests.Serving;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Server.Tests.Metrics;

public sealed class PrometheusTests(TestServer server) : IClassFixture<TestServer>
{
    // The metrics that vLLM's own Grafana dashboard queries and that this engine has.
    public static TheoryData<string> VllmNames =>
    [
        "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:time_to_first_token_seconds_bucket",
        "vllm:time_per_output_token_seconds_bucket", "vllm:inter_token_latency_seconds_count", "vllm:e2e_request_latency_seconds_sum", "vllm:request_queue_time_seconds_count", "vllm:request_success_total", "vllm:num_preemptions_total",
        "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total", "vllm:iteration_tokens_total_count",
    ];

    [Theory]
    [MemberData(nameof(VllmNames))]
    public async Task Names_that_vllms_dashboards_read_are_there(string name)
    {
        await server.AskAsync("/v1/completions", """{"prompt":"Once upon a time","max_tokens":3,"ignore_eos":true}""");
        Assert.Contains(await ReadAsync(), sample => sample.Key.StartsWith(name + "{", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Every_line_is_of_the_format_and_histograms_add_up()
    {
        await server.AskAsync("/v1/completions", """{"prompt":"Once upon a time","max_tokens":3,"ignore_eos":true}""");
        var samples = await ReadAsync();
        Assert.All(samples.Keys, key => Assert.Contains("model_name=\"tiny-r1\"", key, StringComparison.Ordinal));
        foreach (var (key, count) in samples.Where(sample => sample.Key.Contains("_count{", StringComparison.Ordinal)))
            Assert.Equal(count, samples[key.Replace("_count{", "_bucket{", StringComparison.Ordinal)[..^1] + ",le=\"+Inf\"}"]);
        foreach (var group in samples.Where(sample => sample.Key.Contains("_bucket{", StringComparison.Ordinal)).GroupBy(sample => sample.Key[..sample.Key.IndexOf(",le=", StringComparison.Ordinal)]))
            Assert.Equal(group.Select(sample => sample.Value).Order(), group.Select(sample => sample.Value));
    }

    [Fact]
    public async Task Counters_count_what_was_asked_of_this_server()
    {
        const string name = "localllm_generation_tokens_total{model_name=\"tiny-r1\"}";
        var before = (await ReadAsync()).GetValueOrDefault(name);
        await server.AskAsync("/v1/completions", """{"prompt":"Once upon a time","max_tokens":7,"ignore_eos":true}""");
        Assert.Equal(before + 7, (await ReadAsync())[name]);
    }

    [Fact]
    public async Task Acceptance_of_drafts_is_reported_by_place_where_the_engine_speculates()
    {
        Assert.DoesNotContain(await ReadAsync(), sample => sample.Key.Contains("spec_decode", StringComparison.Ordinal));
        var scope = new object();
        using var instruments = new EngineInstruments([(scope, "m")]);
        var options = new EngineOptions { ModelPath = TestPaths.TinyR1, MeterScope = scope, Speculation = new() { Method = "ngram", NumSpeculativeTokens = 2, PromptLookupMin = 1, PromptLookupMax = 2 } };
        await using var engine = await LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        // Only one token is allowed, so every draft is right.
        var loop = new SamplingParams { Temperature = 0, MaxTokens = 20, IgnoreEos = true, AllowedTokenIds = [300] };
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([300, 300, 300], loop), TestContext.Current.CancellationToken);
        var figures = engine.Statistics.Speculation!;
        Assert.Equal(figures.DraftTokens, figures.AcceptedTokens);
        var text = PrometheusText.Write(instruments.Read());
        Assert.Contains($"\nvllm:spec_decode_num_drafts_total{{model_name=\"m\"}} {figures.Drafts}\n", text, StringComparison.Ordinal);
        Assert.Contains($"\nvllm:spec_decode_num_draft_tokens_total{{model_name=\"m\"}} {figures.DraftTokens}\n", text, StringComparison.Ordinal);
        Assert.Contains($"\nvllm:spec_decode_num_accepted_tokens_total{{model_name=\"m\"}} {figures.AcceptedTokens}\n", text, StringComparison.Ordinal);
        for (var place = 0; place < 2; place++)
            Assert.Contains($"\nvllm:spec_decode_num_accepted_tokens_per_pos_total{{model_name=\"m\",position=\"{place}\"}} {figures.AcceptedTokensPerPosition[place]}\n", text, StringComparison.Ordinal);
        Assert.Contains("\nlocalllm_spec_decode_accepted_tokens_per_position_total{model_name=\"m\",position=\"1\"} ", text, StringComparison.Ordinal);
    }

    private async Task<Dictionary<string, double>> ReadAsync()
    {
        var samples = new Dictionary<string, double>(StringComparer.Ordinal);
        var text = await server.Client.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken);
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#'))
        {
            var space = line.LastIndexOf(' ');
            Assert.Matches("^[a-z0-9_:]+\\{[^}]*\\} ", line);
            samples.Add(line[..space], double.Parse(line[(space + 1)..], CultureInfo.InvariantCulture));
        }

        return samples;
    }
}
