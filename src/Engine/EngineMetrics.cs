using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;

namespace LocalLlm;

/// <summary>
/// The engine's instruments, on a <see cref="Meter"/> and an <see cref="ActivitySource"/> named <c>LocalLlm.Engine</c>.
/// Times are in seconds. All instruments carry the tag <c>model</c>.
/// </summary>
internal sealed class EngineMetrics : IDisposable
{
    /// <summary>Name of the meter and of the activity source.</summary>
    public const string Name = "LocalLlm.Engine";

    /// <summary>One activity per request.</summary>
    public static readonly ActivitySource Activities = new(Name);

    private readonly Meter _meter;
    private readonly KeyValuePair<string, object?> _model;
    private readonly Histogram<double> _timeToFirstToken;
    private readonly Histogram<double> _interTokenLatency;
    private readonly Histogram<double> _requestDuration;
    private readonly Histogram<double> _queueTime;
    private readonly Histogram<long> _stepTokens;
    private readonly Counter<long> _promptTokens;
    private readonly Counter<long> _generationTokens;
    private readonly Counter<long> _finished;

    /// <summary>Creates the instruments; gauges read <paramref name="statistics"/> when they are collected.</summary>
    /// <param name="model">The model's name.</param>
    /// <param name="statistics">The engine's figures.</param>
    /// <param name="scope">The meter's scope. It lets a listener tell the instruments of several engines apart.</param>
    public EngineMetrics(string model, Func<EngineStatistics> statistics, object? scope)
    {
        _meter = new(new MeterOptions(Name) { Scope = scope });
        _model = new("model", model);
        _timeToFirstToken = _meter.CreateHistogram<double>("localllm.time_to_first_token", "s", "From the arrival of a request to its first token.");
        _interTokenLatency = _meter.CreateHistogram<double>("localllm.inter_token_latency", "s", "Between two tokens of one sequence.");
        _requestDuration = _meter.CreateHistogram<double>("localllm.request.duration", "s", "From the arrival of a sequence to its end.");
        _queueTime = _meter.CreateHistogram<double>("localllm.request.queue_time", "s", "From the arrival of a sequence to its first step.");
        _stepTokens = _meter.CreateHistogram<long>("localllm.step.tokens", "{token}", "Tokens computed in one step.");
        _promptTokens = _meter.CreateCounter<long>("localllm.prompt_tokens", "{token}", "Prompt tokens of admitted sequences.");
        _generationTokens = _meter.CreateCounter<long>("localllm.generation_tokens", "{token}", "Tokens generated.");
        _finished = _meter.CreateCounter<long>("localllm.request.finished", "{sequence}", "Sequences that ended, by finish_reason.");
        Gauge("localllm.requests.running", "{sequence}", "Running sequences.", s => s.Running);
        Gauge("localllm.requests.waiting", "{sequence}", "Waiting sequences.", s => s.Waiting);
        _meter.CreateObservableGauge("localllm.kv_cache.usage", () => new Measurement<double>(statistics().KvCacheUsage, _model), "1", "Share of KV blocks in use.");
        Counter("localllm.preemptions", "{preemption}", "Preempted sequences.", s => s.Preemptions);
        Counter("localllm.prefix_cache.queries", "{token}", "Prompt tokens looked up in the prefix cache.", s => s.PrefixCacheQueries);
        Counter("localllm.prefix_cache.hits", "{token}", "Prompt tokens found in the prefix cache.", s => s.PrefixCacheHits);
        Speculation("localllm.spec_decode.drafts", "{draft}", "Times that tokens were drafted for a sequence.", s => s.Drafts);
        Speculation("localllm.spec_decode.draft_tokens", "{token}", "Tokens drafted.", s => s.DraftTokens);
        Speculation("localllm.spec_decode.accepted_tokens", "{token}", "Drafted tokens that were accepted.", s => s.AcceptedTokens);
        _meter.CreateObservableCounter("localllm.spec_decode.accepted_tokens_per_position", () => PerPosition(statistics().Speculation), "{token}", "Drafted tokens that were accepted, by their place in the draft.");
        _meter.CreateObservableGauge("localllm.moe.expert_balance", () => statistics().ExpertBalance is { } balance ? [new Measurement<double>(balance, _model)] : Array.Empty<Measurement<double>>(), "1", "Tokens of the mean expert over those of the busiest, the mean over layers; of ranks where experts are balanced.");

        void Gauge(string name, string unit, string description, Func<EngineStatistics, long> value) =>
            _meter.CreateObservableGauge(name, () => new Measurement<long>(value(statistics()), _model), unit, description);

        void Counter(string name, string unit, string description, Func<EngineStatistics, long> value) =>
            _meter.CreateObservableCounter(name, () => new Measurement<long>(value(statistics()), _model), unit, description);

        // Reports nothing without speculation.
        void Speculation(string name, string unit, string description, Func<SpeculationStatistics, long> value) =>
            _meter.CreateObservableCounter(name, () => statistics().Speculation is { } figures ? [new Measurement<long>(value(figures), _model)] : Array.Empty<Measurement<long>>(), unit, description);
    }

    /// <summary>Records a step of this many tokens.</summary>
    public void Step(int tokens) => _stepTokens.Record(tokens, _model);

    /// <summary>Records a sequence's first token.</summary>
    public void FirstToken(TimeSpan sinceArrival, int promptTokens)
    {
        _timeToFirstToken.Record(sinceArrival.TotalSeconds, _model);
        _promptTokens.Add(promptTokens, _model);
        _generationTokens.Add(1, _model);
    }

    /// <summary>Records a sequence's next token.</summary>
    public void NextToken(TimeSpan sinceLast)
    {
        _interTokenLatency.Record(sinceLast.TotalSeconds, _model);
        _generationTokens.Add(1, _model);
    }

    /// <summary>Records how long a sequence waited until it was first scheduled.</summary>
    public void Queued(TimeSpan time) => _queueTime.Record(time.TotalSeconds, _model);

    /// <summary>Records the end of a sequence.</summary>
    public void Finished(FinishReason reason, TimeSpan sinceArrival)
    {
        var finishReason = new KeyValuePair<string, object?>("finish_reason", reason.ToString().ToLowerInvariant());
        _finished.Add(1, _model, finishReason);
        _requestDuration.Record(sinceArrival.TotalSeconds, _model, finishReason);
    }

    private IEnumerable<Measurement<long>> PerPosition(SpeculationStatistics? figures)
    {
        for (var i = 0; i < figures?.AcceptedTokensPerPosition.Count; i++)
            yield return new(figures.AcceptedTokensPerPosition[i], _model, new KeyValuePair<string, object?>("position", i.ToString(CultureInfo.InvariantCulture)));
    }

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();
}
