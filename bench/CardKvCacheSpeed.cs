using System.Diagnostics;
using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// Attention over all layers of a shape on a GPU, on 8-bit floats in the KV cache beside those of the computation: decode steps and what stores their
/// tokens, recorded, with the rate at which the cache is read beside that at which the card copies; and chunks of prompts behind a cached prefix.
/// </summary>
internal static class CardKvCacheSpeed
{
    private const int ChunkTokens = 2048;
    private const int MaxBatch = 128;
    private const long MaxCacheBytes = 24L << 30;

    /// <summary>Prints medians over rounds, for 1, 8, 32 and 128 sequences.</summary>
    /// <param name="device">Such as <c>cuda:0</c>.</param>
    /// <param name="shape">Whose heads and layers.</param>
    /// <param name="dtype">Of the computation.</param>
    /// <param name="context">Positions that every token sees.</param>
    /// <param name="rounds">How often, both caches in every round.</param>
    public static void Run(string device, ModelShape shape, string dtype, int context, int rounds)
    {
        TorchLibrary.EnsureLoaded();
        using var noGradients = inference_mode();
        var ordinal = device.Split(':') is [_, var number] ? int.Parse(number, CultureInfo.InvariantCulture) : 0;
        using var ops = new CudaOps(ordinal);
        var type = dtype == "float32" ? ScalarType.Float32 : ScalarType.BFloat16;
        var copy = GpuClock.CopyRate(ops);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{shape.Name}, {shape.Layers} layers, {dtype}, {context} tokens of each sequence, {rounds} rounds; the card copies at {copy / 1e9:F0} GB/s"));
        for (var sequences = 1; sequences <= MaxBatch; sequences = sequences == 1 ? 8 : sequences * 4)
            Measure(sequences);

        void Measure(int sequences)
        {
            using var scope = NewDisposeScope();
            var attention = new AttentionShape(shape.Heads, shape.KvHeads, shape.HeadDim, 0.1f, null);
            var blocks = sequences * KvCacheSpeed.Blocks(context);
            var spec = KvLayerSpec.KeysAndValues(shape.KvHeads, shape.HeadDim);
            // So many that no cache of the card's holds them, and that they fit.
            var layers = (int)Math.Clamp(MaxCacheBytes / new KvCacheSpec([spec]).BlockBytes(ops, type) / blocks, 1, shape.Layers);
            var model = new KvCacheSpec([.. Enumerable.Repeat(spec, layers)]);
            using var decode = KvCacheSpeed.Step(context, sequences);
            using var rotary = new RotaryTable(ones(context, shape.HeadDim / 2), zeros(context, shape.HeadDim / 2));
            var qkv = randn(sequences, attention.QkvWidth, type, ops.Device);
            var results = new List<string>();
            foreach (var cacheType in (ScalarType[])[type, KvCacheSpec.Float8])
            {
                var caches = KvCacheSpeed.Fill(KvCacheTensors.Allocate(ops, model, blocks, cacheType));
                var (reads, stores, chunks) = (new List<double>(), new List<double>(), new List<double>());
                for (var round = 0; round < rounds; round++)
                {
                    ops.BeginStep(new int[sequences], decode);
                    reads.Add(GpuClock.Time(ops, () => ForAll(cache => ops.Attention(qkv, cache, decode, attention).Dispose())) / layers);
                    stores.Add(GpuClock.Time(ops, () => ForAll(cache => ops.RotaryAndCache(qkv, rotary, cache, decode, attention))) / layers);
                    if (sequences == 1 && context > ChunkTokens)
                        chunks.Add(Chunk(ops, caches, attention, type, context));
                }

                var bytes = (double)blocks * model.BlockBytes(ops, cacheType) / layers;
                var read = KvCacheSpeed.Median(reads);
                results.Add(string.Create(CultureInfo.InvariantCulture,
                    $"{(cacheType == KvCacheSpec.Float8 ? "fp8" : dtype)} {read:F1} us a layer "
                    + $"({bytes / read / 1e3:F0} GB/s, {bytes / read * 1e6 / copy:P0}), rotated and stored in {KvCacheSpeed.Median(stores):F1} us")
                    + (chunks.Count > 0
                        ? string.Create(CultureInfo.InvariantCulture, $", a chunk of {ChunkTokens} in {KvCacheSpeed.Median(chunks):F0} us") : ""));
                foreach (var cache in caches)
                    cache.Dispose();

                void ForAll(Action<KvLayerCache> body)
                {
                    foreach (var cache in caches)
                        body(cache);
                }
            }

            Console.WriteLine($"{sequences,4} sequences: {string.Join("; ", results)}");
        }
    }

    // Microseconds a layer of the last tokens of one sequence. Not recorded: libtorch's flash attention allocates.
    private static double Chunk(CudaOps ops, IReadOnlyList<KvLayerCache> caches, AttentionShape attention, ScalarType type, int context)
    {
        using var scope = NewDisposeScope();
        using var step = new AttentionMetadata();
        step.Sequences.Add(new(0, ChunkTokens, context, 0));
        for (var block = 0; block < KvCacheSpeed.Blocks(context); block++)
            step.BlockTables.Add(block);
        for (var position = context - ChunkTokens; position < context; position++)
        {
            step.PositionRows.Add(position);
            step.SlotMapping.Add(position);
        }

        var qkv = randn(ChunkTokens, attention.QkvWidth, type, ops.Device);
        ops.BeginStep(new int[ChunkTokens], step);
        ops.Attention(qkv, caches[0], step, attention).Dispose();
        ops.Card.Synchronize();
        var clock = Stopwatch.StartNew();
        foreach (var cache in caches)
            ops.Attention(qkv, cache, step, attention).Dispose();
        ops.Card.Synchronize();
        return clock.Elapsed.TotalMicroseconds / caches.Count;
    }
}
