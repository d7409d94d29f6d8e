using System.Diagnostics;
using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>Where the time of one forward pass goes, operation by operation.</summary>
internal static class StepProfile
{
    private const int ContextBlocks = 64;

    /// <summary>
    /// Runs steps of <paramref name="sequences"/> sequences with <paramref name="tokens"/> tokens each and prints milliseconds per step.
    /// </summary>
    public static void Run(ModelShape shape, string folder, string dtype, int sequences, int tokens, int steps)
    {
        shape.WriteTo(folder);
        TorchLibrary.EnsureLoaded();
        using var noGradients = inference_mode();
        var timed = new TimedOps(DeviceRegistry.Create("cpu"));
        var type = timed.ActivationType(dtype == "float32" ? ScalarType.Float32 : ScalarType.BFloat16);
        var packing = timed.Features.DecodeCopyTypes.Contains(type) ? WeightPacking.DecodeCopies : WeightPacking.Compact;
        var registry = new WeightRegistry();
        using var model = ModelRegistry.Create(ModelConfig.Load(folder),
            new LayerContext(timed, new SingleRankCollectives(), registry, type), new(4096, 4096));
        using (var checkpoint = Checkpoint.Open(folder))
            WeightLoader.Load(registry, checkpoint, type, null, null, CancellationToken.None, packing: packing);
        var caches = KvCacheTensors.Allocate(timed, model.KvCache, sequences * ContextBlocks, type);
        using var metadata = Metadata(sequences, tokens);
        var ids = arange(0, sequences * tokens, ScalarType.Int64);
        var rows = Enumerable.Range(0, sequences).Select(i => ((i + 1) * tokens) - 1).ToArray();

        Step();
        timed.Reset();
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < steps; i++)
            Step();
        var total = Stopwatch.GetElapsedTime(start).TotalSeconds;
        foreach (var (operation, seconds) in timed.Seconds.OrderByDescending(entry => entry.Value))
            Print($"{operation,-24} {seconds / steps * 1e3,9:F3} ms {seconds / total,6:P0}");
        Print($"{"outside of operations",-24} {(total - timed.Seconds.Values.Sum()) / steps * 1e3,9:F3} ms");
        Print($"{"step",-24} {total / steps * 1e3,9:F3} ms");

        void Step()
        {
            using var scope = NewDisposeScope();
            var hidden = model.Forward(ids, new ForwardContext(metadata, caches));
            model.ComputeLogits(timed.SelectRows(hidden, rows));
        }
    }

    private static AttentionMetadata Metadata(int sequences, int tokens)
    {
        const int blockSize = AttentionMetadata.BlockSize;
        var metadata = new AttentionMetadata();
        // A decode step is at the middle of the context; a prefill is at its start.
        var first = tokens == 1 ? ContextBlocks * blockSize / 2 : 0;
        for (var sequence = 0; sequence < sequences; sequence++)
        {
            metadata.Sequences.Add(new(metadata.TokenCount, tokens, first + tokens, metadata.BlockTables.Count));
            for (var block = 0; block < ContextBlocks; block++)
                metadata.BlockTables.Add((sequence * ContextBlocks) + block);
            for (var position = first; position < first + tokens; position++)
            {
                metadata.PositionRows.Add(position);
                metadata.SlotMapping.Add((sequence * ContextBlocks * blockSize) + position);
            }
        }

        return metadata;
    }

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
