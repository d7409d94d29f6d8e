using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// DeepSeek-V3's kernels on a GPU compared with the card's limits, which are measured in the same run: products with 8-bit weights, and the
/// attention of decode steps.
/// </summary>
internal static class DeepseekKernels
{
    /// <summary>What can be measured.</summary>
    public static readonly string[] Parts = ["products", "experts", "attention"];

    private const int BlockEdge = 128;
    private const long CacheBytes = 200L << 20; // of distinct weights: the card's own cache holds none of them
    private const int ContextTokens = 4096;

    // Outputs and inputs of matrices: one card's share of eight, and those of a whole layer.
    private static readonly (int Outputs, int Inputs)[] Products =
        [(2112, 7168), (24576, 1536), (3072, 1536), (7168, 16384), (7168, 2048), (36864, 7168), (7168, 18432), (4096, 7168)];

    private static readonly LatentTiling[] LatentCuts =
    [
        new(32, 2, 1), new(32, 2, 2), new(32, 2, 4), new(16, 3, 2), new(16, 3, 3), new(16, 3, 6),
    ];

    // Cuts over an 8-bit KV cache.
    private static readonly LatentTiling[] Float8Cuts =
    [
        new(32, 2, 2), new(32, 3, 1), new(32, 3, 2), new(32, 4, 2), new(32, 3, 4),
        new(16, 4, 2), new(16, 6, 2), new(16, 4, 3), new(16, 4, 6),
    ];

    private static readonly int[] Rows = [1, 8, 16, 32, 64, 128, 512, 4096];

    /// <summary>Prints the tables.</summary>
    /// <param name="tune">File that receives the time of every cut of the products; null: no cuts are tried.</param>
    /// <param name="parts">What to measure, from <see cref="Parts"/>.</param>
    public static void Run(string? tune, IReadOnlyCollection<string> parts)
    {
        TorchLibrary.EnsureLoaded();
        using var noGradients = inference_mode();
        using var ops = (CudaOps)DeviceRegistry.Create("cuda:0");
        using var cuts = tune is null ? null : new StreamWriter(tune);
        var (copy, matrix) = (GpuClock.CopyRate(ops), GpuClock.MatrixRate(ops));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"copy {copy / 1e9:F0} GB/s, bfloat16 products {matrix / 1e12:F0} TFLOP/s"));
        if (parts.Contains("products"))
        {
            Console.WriteLine("products by 8-bit floats in a graph: microseconds, and their share of the rate of a copy");
            foreach (var (outputs, inputs) in Products)
                PrintProduct(ops, outputs, inputs, copy, cuts);
        }

        if (parts.Contains("experts"))
            DeepseekExperts.Run(ops, copy, cuts);
        if (!parts.Contains("attention"))
            return;
        Console.WriteLine($"attention of decode steps over {ContextTokens} tokens, with bfloat16 and with 8-bit floats in the cache: "
            + "microseconds, GB/s of the cache, TFLOP/s");
        foreach (var heads in (int[])[16, 32, 128])
        {
            foreach (var sequences in (int[])[1, 8, 32, 128])
            {
                foreach (var cacheType in (ScalarType[])[ScalarType.BFloat16, KvCacheSpec.Float8])
                    PrintAttention(ops, heads, sequences, cacheType, copy, matrix, cuts is not null && heads < 64);
            }
        }
    }

    private static void PrintProduct(CudaOps ops, int outputs, int inputs, double copy, TextWriter? cuts)
    {
        var copies = (int)Math.Clamp(CacheBytes / ((long)outputs * inputs), 1, GpuClock.Repeats);
        using var scope = NewDisposeScope();
        var grid = new Fp8Grid([.. Enumerable.Range(0, outputs).Select(row => row / BlockEdge)], BlockEdge, 0);
        var fp8 = ops.Features.Fp8!;
        var scales = ones((outputs + BlockEdge - 1) / BlockEdge, (inputs + BlockEdge - 1) / BlockEdge);
        var weights = Enumerable.Range(0, copies).Select(_ => fp8.Pack(
            randint(0, 120, [outputs, inputs], ScalarType.Byte, ops.Device), scales, grid, null, LinearRole.Other)).ToArray();
        Console.WriteLine(fp8.Prepare(ScalarType.BFloat16)!.ManyRows);
        using var rowsOf = tensor(grid.ScaleRows, device: ops.Device);
        foreach (var rows in Rows)
        {
            using var inner = NewDisposeScope();
            var x = randn(rows, inputs, ScalarType.BFloat16, ops.Device);
            var next = 0;
            var floor = (double)outputs * inputs / copy * 1e6;
            var time = GpuClock.Time(ops, () => fp8.Linear(x, weights[next++ % copies]).Dispose());
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"[{rows,4} x {inputs,5} -> {outputs,5}] {time,8:F1} us, floor {floor,6:F1}, {floor / time:P0}, {2.0 * rows * outputs * inputs / time / 1e6:F0} TFLOP/s"));
            using var y = empty(rows, outputs, ScalarType.BFloat16, ops.Device);
            var name = string.Create(CultureInfo.InvariantCulture, $"{rows},{inputs},{outputs}");
            if (rows <= SkinnyTiling.MaxRows)
                PrintWay("widened", () => ops.Skinny.Multiply(x, weights[next++ % copies], rowsOf, y));

            var quantised = ops.Products.Quantise(x);
            PrintWay("quantised", () => ops.Products.Multiply(quantised, weights[next++ % copies], rowsOf, y), cuts is null ? "" : QuantisedBest());

            if (rows > SkinnyTiling.MaxRows)
            {
                var described = weights.Select(weight => ops.Bulk.TryDescribe(weight)).ToArray();
                void Many()
                {
                    using var tiled = ops.Bulk.Tiled(x);
                    ops.Bulk.Multiply(tiled, weights[next % copies], described[next++ % copies]!, rowsOf, y);
                }

                PrintWay("many rows", Many, "with quantising");
                foreach (var description in described)
                    description?.Dispose();
            }

            void PrintWay(string way, Action run, string best = "")
            {
                var own = GpuClock.Time(ops, run);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"      {way,-10} {own,8:F1} us, {floor / own:P0} {best}"));
            }

            string QuantisedBest()
            {
                var chosen = WarpgroupTiling.Of(rows, outputs, inputs, 1, fp8: true, ops.Card.Multiprocessors);
                IEnumerable<WarpgroupTiling> others = rows <= SkinnyTiling.MaxRows
                    ? chosen.Alternatives(hasSplits: true)
                    : [.. chosen.Alternatives(hasSplits: false), .. (chosen with { Rows = 64 }).Alternatives(hasSplits: false)];
                return CutSearch.Run(
                    ops, WarpgroupTiling.Source, chosen, others, cut => cut.Defines(x.dtype, fp8: true, gated: false, add: false, TokenPermutation.None),
                    cut => ops.Products.Multiply(quantised, weights[next++ % copies], rowsOf, y, cut), floor, $"quantised,{name}", cuts!);
            }
        }

        foreach (var weight in weights)
            weight.Dispose();
    }

    private static void PrintAttention(CudaOps ops, int heads, int sequences, ScalarType cacheType, double copy, double matrix, bool tune)
    {
        using var scope = NewDisposeScope();
        var shape = new LatentAttentionShape(heads, 512, 128, 64, 128, 0.07f, Interleaved: true);
        var blocks = sequences * ContextTokens / AttentionMetadata.BlockSize;
        var spec = KvLayerSpec.Rows(shape.RowWidth);
        using var cache = KvCacheTensors.Allocate(ops, spec, blocks, cacheType);
        KvCacheSpeed.Fill([cache]);
        using var metadata = new AttentionMetadata();
        for (var sequence = 0; sequence < sequences; sequence++)
        {
            var first = sequence * ContextTokens / AttentionMetadata.BlockSize;
            metadata.Sequences.Add(new(sequence, 1, ContextTokens, first));
            metadata.SlotMapping.Add((first * AttentionMetadata.BlockSize) + ContextTokens - 1);
            metadata.PositionRows.Add(ContextTokens - 1);
        }

        for (var block = 0; block < blocks; block++)
            metadata.BlockTables.Add(block);
        ops.BeginStep(new int[sequences], metadata);
        var latent = (CudaLatentOps)ops.Features.Latent!;
        using var weight = latent.Pack(randn((long)heads * 256, 512, ScalarType.BFloat16, ops.Device), shape);
        var queries = randn(sequences, (long)heads * shape.QueryDim, ScalarType.BFloat16, ops.Device);
        var whole = GpuClock.Time(ops, () => latent.Attention(queries, weight, cache, metadata, shape).Dispose());
        var (absorbed, output) = (empty(sequences, (long)heads * shape.Rank, ScalarType.BFloat16, ops.Device), empty(sequences, (long)heads * shape.ValueDim, ScalarType.BFloat16, ops.Device));
        var products = GpuClock.Time(ops, () =>
        {
            ops.Products.MultiplyHeads(queries, shape.QueryDim, weight.Keys, absorbed);
            ops.Products.MultiplyHeads(absorbed, shape.Rank, weight.Values, output);
        });
        var time = whole - products;
        var bytes = (double)blocks * new KvCacheSpec([spec]).BlockBytes(ops, cacheType);
        var operations = 2.0 * sequences * ContextTokens * heads * (shape.RowWidth + shape.Rank);
        var isFloat8 = cacheType == KvCacheSpec.Float8;
        latent.Clusters.IsOff = true; // the clusters have cuts of their own
        foreach (var cut in !tune ? [] : isFloat8 ? Float8Cuts : LatentCuts)
        {
            (latent.Cut, latent.Float8Cut) = (cut, cut);
            var other = GpuClock.Time(ops, () => latent.Attention(queries, weight, cache, metadata, shape).Dispose());
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"          {other - products,8:F1} us by {cut}"));
        }

        (latent.Cut, latent.Float8Cut, latent.Clusters.IsOff) = (LatentTiling.Default, LatentTiling.DefaultFloat8, false);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{heads,4} heads, {sequences,4} sequences, {(isFloat8 ? "fp8" : "bfloat16"),8}: {whole,8:F1} us, "
            + $"of which the products of the heads {products,6:F1}; the rest: cache {bytes / time / 1e3,6:F0} GB/s "
            + $"({bytes / time * 1e6 / copy:P0}), {operations / time / 1e6,5:F0} TFLOP/s ({operations / time * 1e6 / matrix:P0})"));
    }
}
