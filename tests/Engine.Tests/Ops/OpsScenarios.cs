using LocalLlm.KvCache;
using LocalLlm.Ops;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Steps, tables and comparisons that the tests of every device share.</summary>
internal static class OpsScenarios
{
    /// <summary>Compares maxima for rows of any width, with equal values, zeros of both signs, infinities and NaN.</summary>
    public static void AssertMaximaAgree(IDeviceOps plain, IDeviceOps fast, ScalarType[] types)
    {
        var random = new Random(8);
        foreach (var width in (int[])[1, 3, 16, 37, 64, 1000, 1024, 5001, 75_968])
        {
            foreach (var type in types)
            {
                using var scope = NewDisposeScope();
                var x = randn(9, width).to(type);
                x[1] = x[1].round();
                x[2].fill_(float.NegativeInfinity);
                x[3].fill_(-0.0f);
                x[3, random.Next(width)] = 0;
                x[4, random.Next(width)] = float.PositiveInfinity;
                foreach (var _ in (int[])[1, 2])
                {
                    x[5, random.Next(width)] = float.NaN;
                    x[6, random.Next(width)] = 9;
                }

                x[7].fill_(-6e4f); // near the end of float16's range
                x[8, width - 1] = 9;
                var wanted = plain.RowMaxima(x, 700);
                var got = fast.RowMaxima(fast.ToDevice(x), 700).cpu();
                // Zeros of both signs are equal, and NaN is NaN.
                Assert.Equal(wanted.data<float>().ToArray(), got.data<float>().ToArray());
                Assert.Equal(700 + x[6].argmax().item<long>(), (long)got[6, 1].item<float>());
            }
        }
    }

    /// <summary>Runs some sequences in random chunks through scattered blocks on both devices and compares every result.</summary>
    public static void AssertAttentionAgrees(IDeviceOps plain, IDeviceOps fast, AttentionShape shape, ScalarType type)
    {
        using var plainCache = ZeroedCache(plain, 64, shape, type);
        using var fastCache = ZeroedCache(fast, 64, shape, type);
        // What an earlier owner left in a block must never reach a result.
        fastCache.Keys.fill_(float.NaN);
        fastCache.Values.fill_(float.NaN);
        using var rotary = Rotary(shape.HeadDim);
        var random = new Random(3);
        int[] lengths = [1, 5, 40, 200, 17];
        var done = new int[lengths.Length];
        var tables = BlockTables(lengths, random);
        while (done.Zip(lengths).Any(pair => pair.First < pair.Second))
        {
            using var metadata = NextStep(lengths, done, tables, random);
            var qkv = randn(metadata.TokenCount, shape.QkvWidth).to(type);
            var norm = randn(shape.HeadDim).to(type);
            var (plainQkv, fastQkv) = (qkv.clone(), fast.ToDevice(qkv));
            fast.BeginStep(new int[metadata.TokenCount], metadata);
            plain.RmsNormHeads(plainQkv, norm, 0, shape.Heads, 1e-6f);
            fast.RmsNormHeads(fastQkv, fast.ToDevice(norm), 0, shape.Heads, 1e-6f);
            AssertClose(plainQkv, fastQkv, type);
            plain.RotaryAndCache(plainQkv, rotary, plainCache, metadata, shape);
            fast.RotaryAndCache(fastQkv, rotary, fastCache, metadata, shape);
            AssertClose(plainQkv, fastQkv, type);
            AssertClose(plain.Attention(plainQkv, plainCache, metadata, shape), fast.Attention(fastQkv, fastCache, metadata, shape), type);
        }
    }

    /// <summary>The same for latent attention.</summary>
    public static void AssertLatentAttentionAgrees(IDeviceOps plainOps, IDeviceOps fastOps, LatentAttentionShape shape, ScalarType type)
    {
        var (plain, fast) = ((ILatentOps)new TorchLatentOps(CPU), fastOps.Features.Latent!);
        var spec = KvLayerSpec.Rows(shape.RowWidth);
        using var plainCache = KvCacheTensors.Allocate(plainOps, spec, 64, type);
        using var fastCache = KvCacheTensors.Allocate(fastOps, spec, 64, type);
        plainCache.Tensors[0].zero_();
        // What an earlier owner left in a block must never reach a result.
        fastCache.Tensors[0].fill_(float.NaN);
        var projection = (randn((long)shape.Heads * (shape.PlainDim + shape.ValueDim), shape.Rank) / MathF.Sqrt(shape.Rank)).to(type);
        using var plainWeight = plain.Pack(projection, shape);
        using var fastWeight = fast.Pack(fastOps.ToDevice(projection), shape);
        using var rotary = Rotary(shape.RotaryDim);
        var norm = randn(shape.Rank).to(type);
        var random = new Random(3);
        int[] lengths = [1, 5, 40, 200, 17];
        var done = new int[lengths.Length];
        var tables = BlockTables(lengths, random);
        while (done.Zip(lengths).Any(pair => pair.First < pair.Second))
        {
            using var metadata = NextStep(lengths, done, tables, random);
            var queries = randn(metadata.TokenCount, (long)shape.Heads * shape.QueryDim).to(type);
            var rows = randn(metadata.TokenCount, 3 + shape.RowWidth).to(type);
            var (plainQueries, fastQueries) = (queries.clone(), fastOps.ToDevice(queries.clone()));
            fastOps.BeginStep(new int[metadata.TokenCount], metadata);
            plain.RotateAndStore(plainQueries, rows, 3, norm, 1e-6f, rotary, plainCache, metadata, shape);
            fast.RotateAndStore(fastQueries, fastOps.ToDevice(rows), 3, fastOps.ToDevice(norm), 1e-6f, rotary, fastCache, metadata, shape);
            AssertClose(plainQueries, fastQueries, type);
            AssertClose(
                plain.Attention(plainQueries, plainWeight, plainCache, metadata, shape),
                fast.Attention(fastQueries, fastWeight, fastCache, metadata, shape), type);
        }
    }

    /// <summary>A cache in the device's own layout, all zeros.</summary>
    public static KvLayerCache ZeroedCache(IDeviceOps ops, int blocks, AttentionShape shape, ScalarType type)
    {
        var cache = KvCacheTensors.Allocate(ops, KvLayerSpec.KeysAndValues(shape.KvHeads, shape.HeadDim), blocks, type);
        foreach (var tensor in cache.Tensors)
            tensor.zero_();
        return cache;
    }

    public static RotaryTable Rotary(int headDim)
    {
        var angles = arange(0, 256).unsqueeze(1) * (1 / pow(tensor(10000f), arange(0, headDim, 2).to(float32) / headDim)).unsqueeze(0);
        return new(angles.cos(), angles.sin());
    }

    public static int[][] BlockTables(int[] lengths, Random random)
    {
        var blocks = Enumerable.Range(0, 64).ToArray();
        random.Shuffle(blocks);
        var next = 0;
        return [.. lengths.Select(length => blocks[next..(next += (length + 15) / 16)])];
    }

    /// <summary>A step with some tokens of some of the sequences, at least one token in all.</summary>
    public static AttentionMetadata NextStep(int[] lengths, int[] done, int[][] tables, Random random)
    {
        var metadata = new AttentionMetadata();
        while (metadata.TokenCount == 0)
        {
            for (var s = 0; s < lengths.Length; s++)
            {
                var count = Math.Min(lengths[s] - done[s], random.Next(0, 60));
                if (count == 0)
                    continue;
                Append(metadata, done[s], count, tables[s]);
                done[s] += count;
            }
        }

        return metadata;
    }

    public static void Append(AttentionMetadata metadata, int first, int count, int[] table)
    {
        metadata.Sequences.Add(new(metadata.TokenCount, count, first + count, metadata.BlockTables.Count));
        metadata.BlockTables.AddRange(table);
        for (var position = first; position < first + count; position++)
        {
            metadata.PositionRows.Add(position);
            metadata.SlotMapping.Add((table[position / 16] * 16) + (position % 16));
        }
    }

    public static void AssertClose(Tensor expected, Tensor actual, ScalarType type)
    {
        var tolerance = type == ScalarType.Float32 ? 2e-5 : 2e-2;
        var (wide, result) = (expected.to(float32).cpu(), actual.to(float32).cpu());
        var excess = ((wide - result).abs() - (tolerance * (wide.abs() + 1))).max().item<float>();
        Assert.True(excess <= 0, $"{type}: {excess} over the tolerance, of {wide.abs().max().item<float>()}");
    }

    /// <summary>Asserts that every element differs by at most a part of the largest one: for sums whose terms cancel.</summary>
    public static void AssertNear(Tensor expected, Tensor actual, double part)
    {
        Assert.Equal(expected.shape, actual.shape);
        var (wide, result) = (expected.to(float64).cpu(), actual.to(float64).cpu());
        var (error, largest) = ((wide - result).abs().max().item<double>(), wide.abs().max().item<double>());
        Assert.True(error <= part * largest, $"{error} is {error / largest} of the largest element");
    }
}
