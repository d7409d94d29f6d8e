using System.Diagnostics;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>Times work on a card inside graphs, and measures the card's own limits.</summary>
internal static class GpuClock
{
    /// <summary>Max number of times that a graph repeats the timed work.</summary>
    public const int Repeats = 20;

    private const int MinRepeats = 2;
    private const double GraphMicroseconds = 4000;

    private const int Replays = 20;
    private const int WarmUps = 3;

    /// <summary>Microseconds per repeat inside the graph.</summary>
    public static double Time(CudaOps ops, Action body, int replays = Replays)
    {
        body();
        ops.Card.Synchronize();
        var once = Stopwatch.StartNew();
        body();
        ops.Card.Synchronize();
        var repeats = (int)Math.Clamp(GraphMicroseconds / once.Elapsed.TotalMicroseconds, MinRepeats, Repeats);
        using var graph = ops.Capture(() =>
        {
            for (var i = 0; i < repeats; i++)
                body();
        });
        for (var i = 0; i < WarmUps; i++)
            graph.Launch();
        ops.Card.Synchronize();
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < replays; i++)
            graph.Launch();
        ops.Card.Synchronize();
        return clock.Elapsed.TotalMicroseconds / (replays * repeats);
    }

    /// <summary>Bytes per second, read and written, of a kernel that changes every element of a large array.</summary>
    public static double CopyRate(CudaOps ops)
    {
        using var scope = NewDisposeScope();
        // A kernel works in place: a graph's copy nodes use the card's copy engines, which are slower.
        var buffer = zeros(1L << 28, ScalarType.Float32, ops.Device);
        return 2.0 * buffer.numel() * sizeof(float) / Time(ops, () => buffer.neg_()) * 1e6;
    }

    /// <summary>Operations per second of cuBLAS's bfloat16 product of two large matrices.</summary>
    public static double MatrixRate(CudaOps ops)
    {
        const int edge = 8192;
        using var scope = NewDisposeScope();
        var (a, b) = (randn(edge, edge, ScalarType.BFloat16, ops.Device), randn(edge, edge, ScalarType.BFloat16, ops.Device));
        using var weight = ops.PackLinear(b, null, LinearRole.Other, default);
        return 2.0 * edge * edge * edge / Time(ops, () => ops.Linear(a, weight).Dispose()) * 1e6;
    }
}
