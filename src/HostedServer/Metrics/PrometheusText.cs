using System.Globalization;
using System.Text;

namespace LocalLlm.Server.Metrics;

/// <summary>
/// Writes the engine's instruments in Prometheus's text format (0.0.4), under their own names and also under the vLLM names that vLLM's
/// dashboards read.
/// </summary>
internal static class PrometheusText
{
    /// <summary>The media type of the format.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private static readonly Dictionary<string, string[]> VllmNames = new(StringComparer.Ordinal)
    {
        ["localllm.time_to_first_token"] = ["vllm:time_to_first_token_seconds"],
        ["localllm.inter_token_latency"] = ["vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"],
        ["localllm.request.duration"] = ["vllm:e2e_request_latency_seconds"],
        ["localllm.request.queue_time"] = ["vllm:request_queue_time_seconds"],
        ["localllm.step.tokens"] = ["vllm:iteration_tokens_total"],
        ["localllm.prompt_tokens"] = ["vllm:prompt_tokens_total"],
        ["localllm.generation_tokens"] = ["vllm:generation_tokens_total"],
        ["localllm.request.finished"] = ["vllm:request_success_total"],
        ["localllm.requests.running"] = ["vllm:num_requests_running"],
        ["localllm.requests.waiting"] = ["vllm:num_requests_waiting"],
        ["localllm.kv_cache.usage"] = ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"],
        ["localllm.preemptions"] = ["vllm:num_preemptions_total"],
        ["localllm.prefix_cache.queries"] = ["vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"],
        ["localllm.spec_decode.drafts"] = ["vllm:spec_decode_num_drafts_total"],
        ["localllm.spec_decode.draft_tokens"] = ["vllm:spec_decode_num_draft_tokens_total"],
        ["localllm.spec_decode.accepted_tokens"] = ["vllm:spec_decode_num_accepted_tokens_total"],
        ["localllm.spec_decode.accepted_tokens_per_position"] = ["vllm:spec_decode_num_accepted_tokens_per_pos_total"],
        ["localllm.prefix_cache.hits"] = ["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"],
    };

    /// <summary>Writes all series.</summary>
    /// <param name="series">All series, grouped by instrument.</param>
    public static string Write(IReadOnlyList<Series> series)
    {
        var text = new StringBuilder();
        foreach (var group in series.GroupBy(one => one.Instrument.Name, StringComparer.Ordinal))
        {
            var first = group.First();
            foreach (var name in VllmNames.GetValueOrDefault(group.Key, []).Prepend(OwnName(first)))
            {
                text.Append("# HELP ").Append(name).Append(' ').Append(first.Instrument.Description).Append('\n');
                text.Append("# TYPE ").Append(name).Append(' ').Append(first.Kind).Append('\n');
                foreach (var one in group)
                    WriteOne(text, name, one, Labels(name, one));
            }
        }

        return text.ToString();
    }

    private static void WriteOne(StringBuilder text, string name, Series series, string labels)
    {
        var (value, count, buckets) = series.Read();
        if (series.Kind != "histogram")
        {
            Line(text, name, labels, value);
            return;
        }

        foreach (var (bound, below) in buckets)
            Line(text, name + "_bucket", $"{labels},le=\"{bound.ToString(CultureInfo.InvariantCulture)}\"", below);
        Line(text, name + "_bucket", labels + ",le=\"+Inf\"", count);
        Line(text, name + "_sum", labels, value);
        Line(text, name + "_count", labels, count);
    }

    private static void Line(StringBuilder text, string name, string labels, double value) =>
        text.Append(name).Append('{').Append(labels).Append("} ").Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');

    private static string OwnName(Series series)
    {
        var name = series.Instrument.Name.Replace('.', '_');
        if (series.Instrument.Unit == "s")
            name += "_seconds";
        return series.Kind == "counter" ? name + "_total" : name;
    }

    private static string Labels(string name, Series series)
    {
        var labels = $"model_name=\"{Escape(series.Model)}\"";
        if (series.Tag is not { } tag)
            return labels;
        var key = tag.Key == "finish_reason" && name.StartsWith("vllm:", StringComparison.Ordinal) ? "finished_reason" : tag.Key;
        return $"{labels},{key}=\"{Escape(tag.Value)}\"";
    }

    private static string Escape(string value) => value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
}
