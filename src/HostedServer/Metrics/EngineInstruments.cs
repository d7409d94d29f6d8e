using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace LocalLlm.Server.Metrics;

/// <summary>
/// Listens to the engines' instruments and accumulates their values, to be written at any moment. The server has one, from its start.
/// </summary>
internal sealed class EngineInstruments : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);

    /// <param name="models">The meter scope and the model name of each engine to listen to; the process may have further engines.</param>
    public EngineInstruments(IReadOnlyList<(object Scope, string Model)> models)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name != LlmEngine.DiagnosticsName)
                return;
            foreach (var (scope, model) in models)
            {
                if (ReferenceEquals(instrument.Meter.Scope, scope))
                    listener.EnableMeasurementEvents(instrument, SeriesOf(instrument, model, null));
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, state) => Take(instrument, value, tags, (Series)state!));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, state) => Take(instrument, value, tags, (Series)state!));
        _listener.Start();

        // Called for every token on the engine's thread. Every measurement has the model's tag; some have a second tag, the finish reason
        // or the position in a draft.
        void Take(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, Series series)
        {
            for (var i = 1; i < tags.Length; i++)
            {
                if (tags[i] is { Key: "finish_reason" or "position", Value: string tag })
                    series = SeriesOf(instrument, series.Model, new(tags[i].Key, tag));
            }

            series.Add(value);
        }
    }

    /// <summary>Returns everything measured so far, after reading the gauges.</summary>
    public IReadOnlyList<Series> Read()
    {
        _listener.RecordObservableInstruments();
        return [.. _series.Values.Where(series => series.IsUsed).OrderBy(series => series.Instrument.Name, StringComparer.Ordinal).ThenBy(series => series.Model, StringComparer.Ordinal).ThenBy(series => series.Tag?.Value.Length).ThenBy(series => series.Tag?.Value, StringComparer.Ordinal)];
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();

    private Series SeriesOf(Instrument instrument, string model, KeyValuePair<string, string>? tag) =>
        _series.GetOrAdd($"{instrument.Name}\0{model}\0{tag?.Value}", static (_, made) => new Series(made.instrument, made.model, made.tag), (instrument, model, tag));
}
