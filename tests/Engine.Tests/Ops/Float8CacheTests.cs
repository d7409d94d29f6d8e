using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares the CPU's attention over 8-bit floats with the plain version, and both with the format's definition.</summary>
public sealed unsafe class Float8CacheTests : IDisposable
{
    private readonly CpuOps _fast;
    private readonly TorchOps _plain = new(CPU);
    private readonly DisposeScope _scope;

    public Float8CacheTests()
    {
        TorchLibrary.EnsureLoaded();
        _scope = NewDisposeScope();
        _fast = new();
        manual_seed(7);
    }

    public void Dispose()
    {
        _fast.Dispose();
        _scope.Dispose();
    }

    [Fact]
    public void Elements_are_rounded_to_the_nearest_even_and_never_overflow()
    {
        var values = new List<float> { 0, 448, 449, 463.9f, 464, 465, 1e30f, float.PositiveInfinity, float.Epsilon };
        for (var bits = 0; bits < 0x7E; bits++)
        {
            var (low, high) = (Float8.Values[bits], Float8.Values[bits + 1]);
            var middle = (low + high) / 2; // a tie
            values.AddRange([low, MathF.BitDecrement(middle), middle, MathF.BitIncrement(middle)]);
        }

        foreach (var value in values.Concat(values.Select(value => -value)))
        {
            Assert.Equal(Float8.FromSingle(value), Float8Element.FromSingle(value));
            Assert.False(float.IsNaN(Float8Element.ToSingle(Float8Element.FromSingle(value))), $"{value} became NaN");
        }
    }

    [Fact]
    public void Every_byte_is_read_as_its_value()
    {
        var values = stackalloc float[16];
        var bytes = stackalloc byte[16];
        for (var bits = 0; bits < 256; bits++)
        {
            if ((bits & 0x7F) == 0x7F)
                continue; // NaN is stored in the scale
            new Span<byte>(bytes, 16).Fill((byte)bits);
            *(System.Runtime.Intrinsics.Vector512<float>*)values = Float8Element.Load(bytes);
            Assert.All(new Span<float>(values, 16).ToArray(), value => Assert.Equal(Float8.Values[bits], value));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1e-37)]
    [InlineData(1e-5)]
    [InlineData(1)]
    [InlineData(448)]
    [InlineData(449)]
    [InlineData(1e30)]
    public void A_row_of_any_magnitude_loses_the_same_part_of_itself(double magnitude)
    {
        var row = (rand(1000) + 0.5f) * (float)magnitude * randn(1000).sign();
        var (bytes, scales) = Float8Row.Encode(row);
        var error = (Float8Row.Decode(bytes, scales) - row).abs() - (row.abs() / 16);
        Assert.True(error.max().item<float>() <= 0, $"{error.max().item<float>()} more than half a step");
    }

    [Fact]
    public void Rows_are_stored_as_the_plain_version_stores_them()
    {
        foreach (var width in (int[])[1, 15, 16, 24, 64, 130])
        {
            for (var magnitude = -36; magnitude <= 36; magnitude += 3)
            {
                var row = randn(width) * MathF.Pow(10, magnitude);
                var (bytes, scales) = Float8Row.Encode(row);
                var (scale, stored) = Encode(row);
                Assert.Equal(scales.item<byte>(), scale);
                Assert.Equal(bytes.data<byte>().ToArray(), stored);
            }
        }
    }

    [Fact]
    public void A_row_with_NaN_is_all_NaN()
    {
        foreach (var place in (int[])[0, 17, 39])
        {
            var row = randn(40);
            row[place] = float.NaN;
            Assert.Equal(Float8Row.NaN, Encode(row).Scale);
            var (bytes, scales) = Float8Row.Encode(row);
            Assert.True(Float8Row.Decode(bytes, scales).isnan().all().item<bool>());
        }
    }

    [Theory]
    [MemberData(nameof(CpuOpsTests.AttentionShapes), MemberType = typeof(CpuOpsTests))]
    public void Attention_agrees_with_the_plain_version(int heads, int kvHeads, int headDim, int? window)
    {
        var shape = new AttentionShape(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), window);
        using var rotary = Rotary(headDim);
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            AssertAgrees(KvLayerSpec.KeysAndValues(kvHeads, headDim), (plainCache, fastCache, metadata) =>
            {
                var qkv = (randn(metadata.TokenCount, shape.QkvWidth) * (rand(metadata.TokenCount, 1) + 0.1f)).to(type);
                var (plainQkv, fastQkv) = (qkv.clone(), qkv.clone());
                _plain.RotaryAndCache(plainQkv, rotary, plainCache, metadata, shape);
                _fast.RotaryAndCache(fastQkv, rotary, fastCache, metadata, shape);
                AssertClose(plainQkv, fastQkv, type);
                AssertSameRows(plainCache.Keys, fastCache.Keys.permute(0, 3, 1, 2), plainCache.Scales[0], fastCache.Scales[0], metadata);
                AssertSameRows(plainCache.Values, fastCache.Values.permute(0, 2, 1, 3).narrow(3, 0, headDim), plainCache.Scales[1], fastCache.Scales[1], metadata);
                return (_plain.Attention(fastQkv, plainCache, metadata, shape), _fast.Attention(fastQkv, fastCache, metadata, shape));
            }, type);
        }
    }

    [Theory]
    [MemberData(nameof(LatentOpsTests.Shapes), MemberType = typeof(LatentOpsTests))]
    public void Latent_attention_agrees_with_the_plain_version(int heads, int rank, int plain, int rotary, int value, bool interleaved)
    {
        var shape = new LatentAttentionShape(heads, rank, plain, rotary, value, 1 / MathF.Sqrt(plain + rotary), interleaved);
        var (slow, fast) = (new TorchLatentOps(CPU), _fast.Features.Latent!);
        using var table = Rotary(shape.RotaryDim);
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            var projection = (randn((long)heads * (plain + value), rank) / MathF.Sqrt(rank)).to(type);
            using var plainWeight = slow.Pack(projection, shape);
            using var fastWeight = fast.Pack(projection, shape);
            var norm = randn(rank).to(type);
            AssertAgrees(KvLayerSpec.Rows(shape.RowWidth), (plainCache, fastCache, metadata) =>
            {
                var queries = randn(metadata.TokenCount, (long)heads * shape.QueryDim).to(type);
                var rows = randn(metadata.TokenCount, 3 + shape.RowWidth).to(type);
                var (plainQueries, fastQueries) = (queries.clone(), queries.clone());
                slow.RotateAndStore(plainQueries, rows, 3, norm, 1e-6f, table, plainCache, metadata, shape);
                fast.RotateAndStore(fastQueries, rows, 3, norm, 1e-6f, table, fastCache, metadata, shape);
                AssertClose(plainQueries, fastQueries, type);
                AssertSameRows(plainCache.Keys, fastCache.Keys, plainCache.Scales[0], fastCache.Scales[0], metadata);
                return (slow.Attention(fastQueries, plainWeight, plainCache, metadata, shape), fast.Attention(fastQueries, fastWeight, fastCache, metadata, shape));
            }, type);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Float32_results_are_the_same_bits_whole_and_in_chunks(bool latent)
    {
        var whole = RunChunks(latent, 150, 150);
        foreach (var chunk in (int[])[1, 7, 16, 64])
            Assert.True(whole.equal(RunChunks(latent, 150, chunk)).all().item<bool>(), $"chunks of {chunk}");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_row_with_NaN_reaches_only_the_tokens_that_see_it(bool latent)
    {
        var numbers = RunChunks(latent, 50, 7, badToken: 30).isnan();
        Assert.False(numbers.narrow(0, 0, 28).any().item<bool>()); // rows of its own chunk may see it
        Assert.True(numbers.narrow(0, 30, 20).all().item<bool>());
    }

    private Tensor RunChunks(bool latent, int length, int chunk, int? badToken = null)
    {
        var shape = new AttentionShape(6, 2, 32, 0.2f, null);
        var latentShape = new LatentAttentionShape(6, 40, 16, 8, 24, 0.2f, Interleaved: true);
        manual_seed(3);
        using var rotary = Rotary(latent ? 8 : 32);
        var input = randn(length, latent ? (6 * 24) + 48 : shape.QkvWidth);
        var (projection, norm) = (randn(6 * 40, 40), ones(40));
        using var weight = _fast.Features.Latent!.Pack(projection, latentShape);
        if (badToken is { } bad)
            input[bad, ^1] = float.NaN;
        using var cache = Garbage(_fast, latent ? KvLayerSpec.Rows(48) : KvLayerSpec.KeysAndValues(2, 32));
        var parts = new List<Tensor>();
        var table = BlockTables([length], new Random(5));
        for (var first = 0; first < length; first += chunk)
        {
            var count = Math.Min(chunk, length - first);
            using var metadata = new AttentionMetadata();
            Append(metadata, first, count, table[0]);
            var part = input.narrow(0, first, count).clone();
            if (!latent)
            {
                _fast.RotaryAndCache(part, rotary, cache, metadata, shape);
                parts.Add(_fast.Attention(part, cache, metadata, shape).narrow(1, 3 * 32, 3 * 32)); // query heads of the last KV head
                continue;
            }

            var (queries, rows) = (part.narrow(1, 0, 6 * 24).contiguous(), part.narrow(1, 6 * 24, 48).contiguous());
            _fast.Features.Latent!.RotateAndStore(queries, rows, 0, norm, 1e-6f, rotary, cache, metadata, latentShape);
            parts.Add(_fast.Features.Latent!.Attention(queries, weight, cache, metadata, latentShape));
        }

        return cat(parts, 0);
    }

    // Runs some sequences in random chunks through scattered blocks of both versions.
    private void AssertAgrees(KvLayerSpec spec, Func<KvLayerCache, KvLayerCache, AttentionMetadata, (Tensor Plain, Tensor Fast)> run, ScalarType type)
    {
        using var plainCache = Garbage(_plain, spec);
        using var fastCache = Garbage(_fast, spec);
        var random = new Random(3);
        int[] lengths = [1, 5, 40, 200, 17];
        var done = new int[lengths.Length];
        var tables = BlockTables(lengths, random);
        while (done.Zip(lengths).Any(pair => pair.First < pair.Second))
        {
            using var scope = NewDisposeScope();
            using var metadata = NextStep(lengths, done, tables, random);
            var (plain, fast) = run(plainCache, fastCache, metadata);
            AssertClose(plain, fast, type);
        }
    }

    // What an earlier owner left in a block must never reach a result.
    private static KvLayerCache Garbage(IDeviceOps ops, KvLayerSpec spec)
    {
        var cache = KvCacheTensors.Allocate(ops, spec, 64, KvCacheSpec.Float8);
        foreach (var tensor in cache.Tensors.Concat(cache.Scales))
            tensor.fill_(255);
        return cache;
    }

    // The two versions may round a number between two steps differently, because their float32 values differ in the last bit. The plain
    // version then continues with the fast version's rows. Shapes: [blocks, 16, heads, width] and [blocks, heads, 16].
    private static void AssertSameRows(Tensor plain, Tensor fast, Tensor plainScales, Tensor fastScales, AttentionMetadata metadata)
    {
        var slots = tensor(metadata.SlotMapping.Span.ToArray());
        var (wanted, got) = (Rows(plain, plainScales), Rows(fast, fastScales));
        var steps = (wanted - got).abs();
        Assert.True(steps.ne(0).to(float32).mean().item<float>() <= 1e-3, "many elements differ");
        Assert.True((steps - (wanted.abs() / 7)).max().item<float>() <= 0, "elements differ by more than a step");
        plain.copy_(fast);
        plainScales.copy_(fastScales);

        Tensor Rows(Tensor bytes, Tensor scales) =>
            Float8Row.Decode(bytes, scales.transpose(1, 2)).view(-1, bytes.shape[2] * bytes.shape[3]).index_select(0, slots);
    }

    private static (byte Scale, byte[] Bytes) Encode(Tensor row)
    {
        var width = (int)row.NumberOfElements;
        var padded = Float8Rows.Padded(width);
        var (source, target) = (new float[padded], new byte[padded]);
        row.data<float>().CopyTo(source);
        fixed (float* from = source)
        fixed (byte* to = target)
            return (Float8Rows.Encode(from, width, to), target[..width]);
    }
}
