using System.Diagnostics.Metrics;

namespace LocalLlm;

/// <summary>An embedding engine's current and cumulative figures.</summary>
/// <param name="Running">Texts of the running step.</param>
/// <param name="Waiting">Waiting texts.</param>
/// <param name="Embedded">Texts embedded so far.</param>
public readonly record struct EmbeddingStatistics(int Running, int Waiting, long Embedded);

/// <summary>
/// An embedding engine's instruments: those of <see cref="EngineMetrics"/> that apply to embedding, under the same names and
/// descriptions. A text counts as a sequence.
/// </summary>
internal sealed class EmbeddingMetrics : IDisposable
{
    private readonly Meter _meter;
    private readonly KeyValuePair<string, object?> _model;
    private readonly Histogram<double> _requestDuration;
    private readonly Histogram<double> _queueTime;
    private readonly Histogram<long> _stepTokens;
    private readonly Counter<long> _promptTokens;
    private readonly Counter<long> _finished;

    /// <summary>Creates the instruments; gauges read <paramref name="statistics"/> when they are collected.</summary>
    /// <param name="model">The model's name.</param>
    /// <param name="statistics">The engine's figures.</param>
    /// <param name="scope">The meter's scope. It lets a listener tell the instruments of several engines apart.</param>
    public EmbeddingMetrics(string model, Func<EmbeddingStatistics> statistics, object? scope)
    {
        _meter = new(new MeterOptions(EngineMetrics.Name) { Scope = scope });
        _model = new("model", model);
        _requestDuration = _meter.CreateHistogram<double>("localllm.request.duration", "s", "From the arrival of a sequence to its end.");
        _queueTime = _meter.CreateHistogram<double>("localllm.request.queue_time", "s", "From the arrival of a sequence to its first step.");
        _stepTokens = _meter.CreateHistogram<long>("localllm.step.tokens", "{token}", "Tokens computed in one step.");
        _promptTokens = _meter.CreateCounter<long>("localllm.prompt_tokens", "{token}", "Prompt tokens of admitted sequences.");
        _finished = _meter.CreateCounter<long>("localllm.request.finished", "{sequence}", "Sequences that ended, by finish_reason.");
        Gauge("localllm.requests.running", "Running sequences.", figures => figures.Running);
        Gauge("localllm.requests.waiting", "Waiting sequences.", figures => figures.Waiting);

        void Gauge(string name, string description, Func<EmbeddingStatistics, long> value) =>
            _meter.CreateObservableGauge(name, () => new Measurement<long>(value(statistics()), _model), "{sequence}", description);
    }

    /// <summary>Records a step of this many tokens.</summary>
    public void Step(int tokens)
    {
        _stepTokens.Record(tokens, _model);
        _promptTokens.Add(tokens, _model);
    }

    /// <summary>Records how long a text waited until its step began.</summary>
    public void Queued(TimeSpan time) => _queueTime.Record(time.TotalSeconds, _model);

    /// <summary>Records the end of a text.</summary>
    /// <param name="reason"><see cref="FinishReason.Stop"/>, <see cref="FinishReason.Abort"/> or <see cref="FinishReason.Error"/>.</param>
    /// <param name="sinceArrival">Time since the text arrived.</param>
    public void Finished(FinishReason reason, TimeSpan sinceArrival)
    {
        var finishReason = new KeyValuePair<string, object?>("finish_reason", reason.ToString().ToLowerInvariant());
        _finished.Add(1, _model, finishReason);
        _requestDuration.Record(sinceArrival.TotalSeconds, _model, finishReason);
    }

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();
}
