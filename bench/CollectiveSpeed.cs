using System.Diagnostics;
using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// What the residual stream's sum over ranks costs inside a graph, with our own kernels and with NCCL. Two limits are measured in the same
/// run: a kernel over as many rows that waits for no other rank, and a copy of the bytes that cross (on one card, two passes over them).
/// </summary>
internal static class CollectiveSpeed
{
    private const int RanksOfOneCard = 2;
    private const int Repeats = 50;
    private const int Replays = 40;
    private const int Width = 8192;
    private const int WarmUps = 5;

    // Rows of 16 KiB.
    private static readonly int[] Rows = [1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096];

    /// <summary>Prints a table.</summary>
    /// <param name="cards">1: two ranks on one card; above 1: one rank on each of that many cards.</param>
    public static void Run(int cards)
    {
        var lines = OnRanks(cards, (ops, gate, sums) => Rows.Select(rows => Measure(ops, gate, rows, sums)).ToList());
        var where = cards == 1 ? "both ranks on one card" : $"a rank on each of {cards} cards";
        Console.WriteLine($"{where}, bfloat16, microseconds each inside a graph");
        Console.WriteLine(
            "    rows       KiB | own, one shot  + norm after  norm fused |  own, chunks        NCCL | a norm alone    copy limit");
        lines.ForEach(Console.WriteLine);
    }

    /// <summary>
    /// Seconds that adding all ranks' parts to the residual stream takes, with the fastest method at each number of rows.
    /// </summary>
    /// <param name="cards">Number of cards, with one rank on each.</param>
    /// <param name="width">Width of the residual stream.</param>
    /// <param name="rows">Numbers of rows.</param>
    public static IReadOnlyDictionary<int, double> SumSeconds(int cards, int width, IReadOnlyList<int> rows) => OnRanks(
        cards, (ops, gate, sums) => rows.ToDictionary(count => count, count =>
        {
            using var scope = NewDisposeScope();
            var (part, residual) = (zeros(count, width, bfloat16, ops.Device), zeros(count, width, bfloat16, ops.Device));
            var times = new List<double> { Time(ops, gate, () => sums.Chunks.AddAllReduced(residual, part)) };
            if (2L * count * width <= PeerCollectives.MaxOneShotBytes)
                times.Add(Time(ops, gate, () => sums.OneShot.AddAllReduced(residual, part)));
            if (sums.Nccl is { } nccl)
                times.Add(Time(ops, gate, () => nccl.AddAllReduced(residual, part)));
            return times.Min() / 1e6;
        }));

    // Runs the same work on all ranks and returns rank 0's result.
    private static T OnRanks<T>(int cards, Func<CudaOps, LaunchGate, Sums, T> work)
    {
        TorchLibrary.EnsureLoaded();
        string[] devices = cards == 1
            ? [.. Enumerable.Repeat("cuda:0", RanksOfOneCard)]
            : [.. Enumerable.Range(0, cards).Select(card => string.Create(CultureInfo.InvariantCulture, $"cuda:{card}"))];
        var ranks = devices.Length;
        var process = new LaunchGate(ranks);
        var nccl = cards > 1 ? NcclLibrary.TryLoad(TorchLibrary.Folder) : null;
        var id = nccl?.CreateUniqueId() ?? default;
        var (oneShot, chunks) = (new PeerGroup(ranks, process), new PeerGroup(ranks, process));
        var gates = new RankGates(new(ranks), process);
        var results = new T[ranks];
        var threads = devices.Select((device, rank) => new Thread(() =>
        {
            using var ops = (CudaOps)DeviceRegistry.Create(device);
            using var first = new PeerCollectives(oneShot, rank) { OneShotLimit = PeerCollectives.MaxOneShotBytes };
            using var second = new PeerCollectives(chunks, rank) { OneShotLimit = 0 };
            using var third = nccl is null ? null : new NcclCollectives(new(() => (nccl, id), rank, ranks, gates));
            foreach (var bound in (IDeviceBound?[])[first, second, third])
                bound?.Bind(ops);
            results[rank] = work(ops, process, new(first, second, third));
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        return results[0];
    }

    private static string Measure(CudaOps ops, LaunchGate gate, int rows, Sums sums)
    {
        var (oneShot, chunks, nccl) = (sums.OneShot, sums.Chunks, sums.Nccl);
        using var scope = NewDisposeScope();
        var (part, residual) = (zeros(rows, Width, bfloat16, ops.Device), zeros(rows, Width, bfloat16, ops.Device));
        var weight = ones(Width, bfloat16, ops.Device);
        var bytes = 2L * rows * Width;
        var takesOneShot = bytes <= PeerCollectives.MaxOneShotBytes;
        var other = zeros_like(part);
        var cells = (double?[])
        [
            takesOneShot ? Time(ops, gate, () => oneShot.AddAllReduced(residual, part)) : null,
            takesOneShot ? Time(ops, gate, () =>
            {
                oneShot.AddAllReduced(residual, part);
                ops.RmsNorm(residual, weight, 1e-5f).Dispose();
            }) : null,
            takesOneShot ? Time(ops, gate, () => oneShot.AddAllReducedNormed(residual, part, weight, 1e-5f).Dispose()) : null,
            Time(ops, gate, () => chunks.AddAllReduced(residual, part)),
            nccl is null ? null : Time(ops, gate, () => nccl.AllReduce(part)),
            Time(ops, gate, () => ops.RmsNorm(residual, weight, 1e-5f).Dispose()),
            Time(ops, gate, () => other.copy_(part)),
        ];
        string Cell(int i) => cells[i] is { } time ? time.ToString("F2", CultureInfo.InvariantCulture).PadLeft(12) : "-".PadLeft(12);
        return string.Create(CultureInfo.InvariantCulture, $"{rows,8} {bytes / 1024,9} | {Cell(0)} {Cell(1)} {Cell(2)} | {Cell(3)} {Cell(4)} | {Cell(5)} {Cell(6)}");
    }

    // Microseconds per repeat inside the graph.
    private static double Time(CudaOps ops, LaunchGate gate, Action body)
    {
        body();
        ops.Card.Synchronize();
        using var graph = ops.Capture(() =>
        {
            for (var i = 0; i < Repeats; i++)
                body();
        });
        for (var i = 0; i < WarmUps; i++)
            graph.Launch();
        ops.Card.Synchronize();
        gate.Pass();
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < Replays; i++)
            graph.Launch();
        ops.Card.Synchronize();
        var time = clock.Elapsed.TotalMicroseconds / (Replays * Repeats);
        gate.Pass();
        return time;
    }

    // The methods that compute the sum.
    private sealed record Sums(PeerCollectives OneShot, PeerCollectives Chunks, ICollectives? Nccl);
}
