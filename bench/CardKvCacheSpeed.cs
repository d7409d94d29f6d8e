using System.Diagnostics;
using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// Attention on a GPU over all layers of a shape, and over latent vectors: 8-bit floats in the KV cache compared with the computation's own
/// type. Times decode steps and the kernels that store their tokens, both recorded in graphs, and compares the rate of reading the cache
/// with the card's copy rate. Also times chunks of prompts after a cached prefix.
/// </summary>
internal static class CardKvCacheSpeed
{
    private const int ChunkTokens = 2048;
    private const int MaxBatch = 128;
    private const int LatentLayers = 61; // DeepSeek-V3's
    private const long MaxCacheBytes = 24L << 30;

    // What a layer computes for the tokens of a step or for a chunk of one prompt; the inputs are created once.
    private sealed record Step(Action<KvLayerCache> Attend, Action<KvLayerCache> Store);

    /// <summary>Prints medians over rounds, for 1, 8, 32 and 128 sequences.</summary>
    /// <param name="device">The GPU, such as <c>cuda:0</c>.</param>
    /// <param name="shape">Gives the numbers of heads and layers.</param>
    /// <param name="dtype">Type of the computation.</param>
    /// <param name="context">Positions that every token attends to.</param>
    /// <param name="rounds">Number of rounds; every round measures both caches.</param>
    public static void Run(string device, ModelShape shape, string dtype, int context, int rounds)
    {
        TorchLibrary.EnsureLoaded();
        using var noGradients = inference_mode();
        var ordinal = device.Split(':') is [_, var number] ? int.Parse(number, CultureInfo.InvariantCulture) : 0;
        using var ops = new CudaOps(ordinal);
        var type = dtype == "float32" ? ScalarType.Float32 : ScalarType.BFloat16;
        var copy = GpuClock.CopyRate(ops);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{dtype}, {context} tokens of each sequence, {rounds} rounds; the card copies at {copy / 1e9:F0} GB/s"));

        var attention = new AttentionShape(shape.Heads, shape.KvHeads, shape.HeadDim, 0.1f, null);
        using var rotary = new RotaryTable(ones(context, shape.HeadDim / 2), zeros(context, shape.HeadDim / 2));
        Console.WriteLine($"{shape.Name}, {shape.Layers} layers:");
        MeasureAll(KvLayerSpec.KeysAndValues(shape.KvHeads, shape.HeadDim), shape.Layers, step =>
        {
            var qkv = randn(step.TokenCount, attention.QkvWidth, type, ops.Device);
            return new(
                cache => ops.Attention(qkv, cache, step, attention).Dispose(),
                cache => ops.RotaryAndCache(qkv, rotary, cache, step, attention));
        });

        // In float32, latent attention runs as plain operations that read the step on the host.
        if (type == ScalarType.Float32)
            return;
        // The heads of one rank of eight, and of one card alone.
        foreach (var heads in (int[])[16, 128])
        {
            var latent = KvCacheSpeed.Latent with { Heads = heads };
            using var projection = randn((long)heads * (latent.PlainDim + latent.ValueDim), latent.Rank, type, ops.Device);
            using var weight = ops.Features.Latent!.Pack(projection, latent);
            using var latentRotary = new RotaryTable(ones(context, latent.RotaryDim / 2), zeros(context, latent.RotaryDim / 2));
            var norm = ones(latent.Rank, type, ops.Device);
            Console.WriteLine($"latent vectors, {heads} heads, with the products of these:");
            MeasureAll(KvLayerSpec.Rows(latent.RowWidth), LatentLayers, step =>
            {
                var queries = randn(step.TokenCount, (long)heads * latent.QueryDim, type, ops.Device);
                var rows = randn(step.TokenCount, latent.RowWidth, type, ops.Device);
                return new(
                    cache => ops.Features.Latent!.Attention(queries, weight, cache, step, latent).Dispose(),
                    cache => ops.Features.Latent!.RotateAndStore(queries, rows, 0, norm, 1e-6f, latentRotary, cache, step, latent));
            });
        }

        void MeasureAll(KvLayerSpec spec, int layers, Func<AttentionMetadata, Step> prepare)
        {
            for (var sequences = 1; sequences <= MaxBatch; sequences = sequences == 1 ? 8 : sequences * 4)
                Measure(ops, spec, layers, type, context, sequences, rounds, copy, prepare);
        }
    }

    private static void Measure(
        CudaOps ops, KvLayerSpec spec, int allLayers, ScalarType type, int context, int sequences, int rounds, double copy,
        Func<AttentionMetadata, Step> prepare)
    {
        using var scope = NewDisposeScope();
        var blocks = sequences * KvCacheSpeed.Blocks(context);
        // As many layers as fit in memory, so that the card's own cache cannot hold them.
        var layers = (int)Math.Clamp(MaxCacheBytes / new KvCacheSpec([spec]).BlockBytes(ops, type) / blocks, 1, allLayers);
        var model = new KvCacheSpec([.. Enumerable.Repeat(spec, layers)]);
        using var decode = KvCacheSpeed.Step(context, sequences);
        var step = prepare(decode);
        var results = new List<string>();
        foreach (var cacheType in (ScalarType[])[type, KvCacheSpec.Float8])
        {
            var caches = KvCacheSpeed.Fill(KvCacheTensors.Allocate(ops, model, blocks, cacheType));
            var (reads, stores, chunks) = (new List<double>(), new List<double>(), new List<double>());
            for (var round = 0; round < rounds; round++)
            {
                ops.BeginStep(new int[sequences], decode);
                reads.Add(GpuClock.Time(ops, () => ForAll(step.Attend)) / layers);
                stores.Add(GpuClock.Time(ops, () => ForAll(step.Store)) / layers);
                if (sequences == 1 && context > ChunkTokens)
                    chunks.Add(Chunk(ops, caches, context, prepare));
            }

            var bytes = (double)blocks * model.BlockBytes(ops, cacheType) / layers;
            var read = KvCacheSpeed.Median(reads);
            results.Add(string.Create(CultureInfo.InvariantCulture,
                $"{(cacheType == KvCacheSpec.Float8 ? "fp8" : type == ScalarType.Float32 ? "float32" : "bfloat16")} {read:F1} us a layer "
                + $"({bytes / read / 1e3:F0} GB/s, {bytes / read * 1e6 / copy:P0}), "
                + $"rotated and stored in {KvCacheSpeed.Median(stores):F1} us")
                + (chunks.Count > 0
                    ? string.Create(CultureInfo.InvariantCulture, $", a chunk of {ChunkTokens} in {KvCacheSpeed.Median(chunks):F0} us")
                    : ""));
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

    // Microseconds per layer for the last tokens of one sequence. Not recorded in a graph: libtorch's flash attention allocates memory.
    private static double Chunk(CudaOps ops, IReadOnlyList<KvLayerCache> caches, int context, Func<AttentionMetadata, Step> prepare)
    {
        using var scope = NewDisposeScope();
        using var chunk = new AttentionMetadata();
        chunk.Sequences.Add(new(0, ChunkTokens, context, 0));
        for (var block = 0; block < KvCacheSpeed.Blocks(context); block++)
            chunk.BlockTables.Add(block);
        for (var position = context - ChunkTokens; position < context; position++)
        {
            chunk.PositionRows.Add(position);
            chunk.SlotMapping.Add(position);
        }

        var step = prepare(chunk);
        ops.BeginStep(new int[ChunkTokens], chunk);
        step.Attend(caches[0]);
        ops.Card.Synchronize();
        var clock = Stopwatch.StartNew();
        foreach (var cache in caches)
            step.Attend(cache);
        ops.Card.Synchronize();
        return clock.Elapsed.TotalMicroseconds / caches.Count;
    }
}
