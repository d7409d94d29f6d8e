using System.Diagnostics.Metrics;

namespace LocalLlm.Server.Metrics;

/// <summary>
/// The measurements of one instrument for one model, and for one finish reason or one position in a draft if the instrument distinguishes
/// them.
/// </summary>
internal sealed class Series(Instrument instrument, string model, KeyValuePair<string, string>? tag)
{
    // Bucket bounds as in vLLM, in seconds or tokens.
    private static readonly double[] Seconds = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560];
    private static readonly double[] Tokens = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

    private readonly Lock _lock = new();
    private readonly double[] _bounds = instrument.Unit == "s" ? Seconds : Tokens;
    private readonly long[] _buckets = new long[Math.Max(Seconds.Length, Tokens.Length)];
    private double _value;
    private long _count;

    /// <summary>The instrument.</summary>
    public Instrument Instrument => instrument;

    /// <summary>The model's name.</summary>
    public string Model => model;

    /// <summary>The finish reason (<c>finish_reason</c>) or the position in a draft (<c>position</c>), or null.</summary>
    public KeyValuePair<string, string>? Tag => tag;

    /// <summary>The Prometheus metric type.</summary>
    public string Kind { get; } = instrument switch
    {
        Histogram<double> or Histogram<long> => "histogram",
        ObservableGauge<double> or ObservableGauge<long> => "gauge",
        _ => "counter",
    };

    /// <summary>Whether anything was measured.</summary>
    public bool IsUsed => Volatile.Read(ref _count) > 0;

    /// <summary>Adds a measurement.</summary>
    public void Add(double value)
    {
        lock (_lock)
        {
            _count++;
            // An observable instrument reports its sum or state itself.
            _value = instrument.IsObservable ? value : _value + value;
            if (Kind != "histogram")
                return;
            var bucket = Array.FindIndex(_bounds, bound => value <= bound);
            if (bucket >= 0)
                _buckets[bucket]++;
        }
    }

    /// <summary>Returns the sum or state, the number of measurements, and the number at or below each bound.</summary>
    public (double Value, long Count, IReadOnlyList<(double Bound, long Count)> Buckets) Read()
    {
        lock (_lock)
        {
            var sum = 0L;
            return (_value, _count, [.. _bounds.Select((bound, index) => (bound, sum += _buckets[index]))]);
        }
    }
}
