using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace LocalLlm.Server.Metrics;

/// <summary>
/// Listens to the engine's instruments and keeps their sums, so that they can be written at any moment. One for the process's server, from its start on.
/// </summary>
internal sealed class EngineInstruments : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);

    /// <param name="scope">The scope of the engine's meter; a process may have several engines.</param>
    public EngineInstruments(object scope)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == EngineMetrics.Name && ReferenceEquals(instrument.Meter.Scope, scope))
                listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.Start();

        void Take(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string? reason = null;
            foreach (var (name, tag) in tags)
            {
                if (name == "finish_reason")
                    reason = tag as string;
            }

            _series.GetOrAdd(reason is null ? instrument.Name : $"{instrument.Name}\0{reason}", static (_, made) => new Series(made.instrument, made.reason), (instrument, reason)).Add(value);
        }
    }

    /// <summary>Everything measured so far; gauges are asked first.</summary>
    public IReadOnlyList<Series> Read()
    {
        _listener.RecordObservableInstruments();
        return [.. _series.Values.OrderBy(series => series.Instrument.Name, StringComparer.Ordinal).ThenBy(series => series.FinishReason, StringComparer.Ordinal)];
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();
}
