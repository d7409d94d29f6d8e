using System.Diagnostics;
using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// The attention of a decode step over all layers of a shape: 8-bit floats in the KV cache compared with the computation's own type. Every
/// round measures both, one after the other, and the rate of reading memory.
/// </summary>
internal static class KvCacheSpeed
{
    // DeepSeek-V3's latent vectors, with the heads of one of eight ranks.
    public static readonly LatentAttentionShape Latent = new(16, 512, 128, 64, 128, 0.07f, Interleaved: true);
    private const int LatentLayers = 12;

    /// <summary>Prints medians over rounds.</summary>
    /// <param name="shape">Gives the numbers of heads and layers.</param>
    /// <param name="dtype">Type of the computation.</param>
    /// <param name="context">Positions that every token attends to.</param>
    /// <param name="sequences">Sequences, each with one token in the step.</param>
    /// <param name="rounds">Number of rounds.</param>
    public static void Run(ModelShape shape, string dtype, int context, int sequences, int rounds)
    {
        TorchLibrary.EnsureLoaded();
        using var noGradients = inference_mode();
        using var ops = new CpuOps();
        var type = dtype == "float32" ? ScalarType.Float32 : ScalarType.BFloat16;
        var attention = new AttentionShape(shape.Heads, shape.KvHeads, shape.HeadDim, 0.1f, null);
        var latent = ops.Features.Latent!;
        var rows = (long)Latent.Heads * (Latent.PlainDim + Latent.ValueDim);
        using var weight = latent.Pack(randn(rows, Latent.Rank).to(type), Latent);
        using var step = Step(context, sequences);
        using var qkv = randn(sequences, attention.QkvWidth).to(type);
        using var queries = randn(sequences, (long)Latent.Heads * Latent.QueryDim).to(type);

        var heads = KvLayerSpec.KeysAndValues(shape.KvHeads, shape.HeadDim);
        Measure(shape.Name, shape.Layers, heads, cache => ops.Attention(qkv, cache, step, attention));
        var latentRows = KvLayerSpec.Rows(Latent.RowWidth);
        Measure("latent vectors", LatentLayers, latentRows, cache => latent.Attention(queries, weight, cache, step, Latent));

        void Measure(string name, int layers, KvLayerSpec spec, Func<KvLayerCache, Tensor> attend)
        {
            var blocks = sequences * Blocks(context);
            var model = new KvCacheSpec([.. Enumerable.Repeat(spec, layers)]);
            var wide = Fill(KvCacheTensors.Allocate(ops, model, blocks, type));
            var narrow = Fill(KvCacheTensors.Allocate(ops, model, blocks, KvCacheSpec.Float8));
            var (reads, wideTimes, narrowTimes) = (new List<double>(), new List<double>(), new List<double>());
            for (var round = 0; round < rounds; round++)
            {
                reads.Add(Probes.OnOwnThread(Probes.ReadBandwidth));
                wideTimes.Add(Time(wide, attend));
                narrowTimes.Add(Time(narrow, attend));
            }

            var wideBytes = (double)blocks * model.BlockBytes(ops, type);
            var narrowBytes = (double)blocks * model.BlockBytes(ops, KvCacheSpec.Float8);
            var (w, n) = (Median(wideTimes), Median(narrowTimes));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{name}, {layers} layers, {sequences} sequences of {context} tokens, {rounds} rounds, "
                + $"memory read at {Median(reads) / 1e9:F1} GB/s: "
                + $"{dtype} {w * 1e3:F2} ms ({wideBytes / 1e6:F0} MB, {wideBytes / w / 1e9:F1} GB/s), "
                + $"fp8 {n * 1e3:F2} ms ({narrowBytes / 1e6:F0} MB, {narrowBytes / n / 1e9:F1} GB/s): {w / n:F2} times as fast"));
            foreach (var cache in wide.Concat(narrow))
                cache.Dispose();
        }
    }

    /// <summary>Fills caches with values of moderate size.</summary>
    public static IReadOnlyList<KvLayerCache> Fill(IReadOnlyList<KvLayerCache> caches)
    {
        foreach (var tensor in caches.SelectMany(cache => cache.Tensors))
            _ = tensor.dtype == KvCacheSpec.Float8 ? tensor.random_(0, 0x7F) : tensor.normal_();
        foreach (var scales in caches.SelectMany(cache => cache.Scales))
            scales.random_(117, 120);
        return caches;
    }

    private static double Time(IReadOnlyList<KvLayerCache> caches, Func<KvLayerCache, Tensor> attend)
    {
        attend(caches[0]).Dispose();
        var start = Stopwatch.GetTimestamp();
        foreach (var cache in caches)
            attend(cache).Dispose();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>A step with one token of each sequence; the cache blocks are scattered.</summary>
    public static AttentionMetadata Step(int context, int sequences)
    {
        var step = new AttentionMetadata();
        var blocks = Enumerable.Range(0, sequences * Blocks(context)).ToArray();
        new Random(1).Shuffle(blocks);
        for (var i = 0; i < sequences; i++)
        {
            step.Sequences.Add(new(i, 1, context, step.BlockTables.Count));
            step.BlockTables.AddRange(blocks.AsSpan(i * Blocks(context), Blocks(context)));
            step.PositionRows.Add(context - 1);
            step.SlotMapping.Add((step.BlockTables.Span[^1] * AttentionMetadata.BlockSize) + ((context - 1) % AttentionMetadata.BlockSize));
        }

        return step;
    }

    public static int Blocks(int context) => (context + AttentionMetadata.BlockSize - 1) / AttentionMetadata.BlockSize;

    public static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
