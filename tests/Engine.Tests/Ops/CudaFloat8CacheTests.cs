using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// Compares the GPU's attention over 8-bit floats with the plain version over the same bytes, and those bytes with the format's definition.
/// </summary>
public sealed class CudaFloat8CacheTests : IDisposable
{
    private const int Blocks = 64;
    private static readonly ScalarType[] Types = CardTypes.All;
    private readonly CudaOps _fast;
    private readonly IDeviceOps _plain;
    private readonly DisposeScope _scope;

    public CudaFloat8CacheTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        _fast = new(0);
        _plain = new TorchOps(CPU);
        _scope = NewDisposeScope();
        manual_seed(7);
    }

    public void Dispose()
    {
        _scope?.Dispose();
        _fast?.Dispose();
    }

    // In random chunks: decode steps, short chunks, whole prompts and prompts behind a cached prefix.
    [Theory]
    [MemberData(nameof(CudaOpsTests.AttentionShapes), MemberType = typeof(CudaOpsTests))]
    public void Attention_agrees_with_the_plain_version_over_the_same_bytes(int heads, int kvHeads, int headDim, int? window)
    {
        var shape = new AttentionShape(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), window);
        using var rotary = Rotary(headDim);
        foreach (var type in Types)
        {
            // Values of any magnitude keep the precision of the format.
            foreach (var magnitude in (float[])[1, 1f / 512, 512])
            {
                using var cache = Garbage(_fast, shape);
                using var plainCache = Garbage(_plain, shape);
                var random = new Random(3);
                int[] lengths = [1, 5, 40, 200, 17];
                var done = new int[lengths.Length];
                var tables = BlockTables(lengths, random);
                while (done.Zip(lengths).Any(pair => pair.First < pair.Second))
                {
                    using var scope = NewDisposeScope();
                    using var metadata = NextStep(lengths, done, tables, random);
                    var qkv = randn(metadata.TokenCount, shape.QkvWidth) * (rand(metadata.TokenCount, 1) + 0.1f);
                    qkv.narrow(1, shape.ValueOffset, shape.KvHeads * shape.HeadDim).mul_(magnitude);
                    var fastQkv = qkv.to(type).cuda();
                    _fast.BeginStep(new int[metadata.TokenCount], metadata);
                    _fast.RotaryAndCache(fastQkv, rotary, cache, metadata, shape);
                    AssertStored(fastQkv, cache, metadata, shape);
                    CopyTo(plainCache, cache);
                    var expected = _plain.Attention(fastQkv.cpu(), plainCache, metadata, shape);
                    AssertClose(expected.to(float32) / magnitude, _fast.Attention(fastQkv, cache, metadata, shape).to(float32) / magnitude, type);
                }
            }
        }
    }

    // Contexts that are split into parts, and one that is not.
    [Theory]
    [InlineData(14, 2, 64, null)]
    [InlineData(28, 4, 128, null)]
    [InlineData(12, 1, 128, 3000)]
    [InlineData(6, 2, 80, null)]
    public void Long_contexts_agree_with_the_plain_version(int heads, int kvHeads, int headDim, int? window)
    {
        var shape = new AttentionShape(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), window);
        int[] contexts = [5000, 700, 1];
        using var metadata = new AttentionMetadata();
        var free = Enumerable.Range(0, contexts.Sum(context => (context + 15) / 16)).ToArray();
        var count = free.Length;
        new Random(4).Shuffle(free);
        foreach (var context in contexts)
        {
            Append(metadata, context - 1, 1, free[..((context + 15) / 16)]);
            free = free[((context + 15) / 16)..];
        }

        foreach (var type in Types)
        {
            using var scope = NewDisposeScope();
            using var plainCache = Garbage(_plain, shape, count);
            using var cache = Garbage(_fast, shape, count);
            foreach (var tensor in plainCache.Tensors)
                tensor.copy_(Float8Row.Encode(randn(tensor.shape)).Bytes);
            plainCache.Scales[0].random_(118, 120);
            plainCache.Scales[1].random_(119, 122);
            for (var i = 0; i < cache.Tensors.Count; i++)
            {
                cache.Tensors[i].copy_(plainCache.Tensors[i]);
                cache.Scales[i].copy_(plainCache.Scales[i]);
            }

            // Large values, so that few positions have most of the weight: a mean over thousands of positions would be close to 0.
            var qkv = (randn(contexts.Length, shape.QkvWidth) * 8).to(type);
            _fast.BeginStep(new int[contexts.Length], metadata);
            AssertClose(_plain.Attention(qkv, plainCache, metadata, shape), _fast.Attention(qkv.cuda(), cache, metadata, shape), type);
        }
    }

    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(40)]
    public void Every_byte_is_read_as_its_value(int headDim)
    {
        var shape = new AttentionShape(4, 2, headDim, 1, null);
        var rows = 256 / headDim;
        var codes = Enumerable.Range(0, (rows + 1) * 2 * headDim).Select(i => (byte)((i & 0x7F) == 0x7F ? 0 : i)).ToArray();
        foreach (var type in Types)
        {
            using var cache = Garbage(_fast, shape);
            using var metadata = new AttentionMetadata();
            for (var row = 0; row <= rows; row++)
                Append(metadata, 0, 1, [row]);
            // The attention of a token that sees only itself is its own value.
            cache.Keys.zero_();
            cache.Scales[0].fill_(127);
            cache.Scales[1].fill_(125); // a quarter
            cache.Values.narrow(0, 0, rows + 1).select(1, 0).copy_(tensor(codes).view(rows + 1, 2, headDim));
            _fast.BeginStep(new int[rows + 1], metadata);
            var result = _fast.Attention(randn(rows + 1, shape.QkvWidth).to(type).cuda(), cache, metadata, shape).to(float32).cpu().data<float>().ToArray();
            for (var i = 0; i < result.Length; i++)
            {
                var (row, head, d) = (i / (4 * headDim), i / headDim % 4, i % headDim);
                Assert.Equal(Float8.Values[codes[(((row * 2) + (head / 2)) * headDim) + d]] / 4, result[i]);
            }
        }
    }

    // With few rows, the kernel of the product also stores keys and values, unless the cache holds 8-bit floats.
    [Theory]
    [InlineData(1, 12, 2, 128, 1536)]
    [InlineData(4, 6, 3, 10, 40)]
    [InlineData(9, 4, 2, 32, 64)]
    public void A_projection_that_rotates_and_stores_stores_what_the_format_says(int rows, int heads, int kvHeads, int headDim, int inFeatures)
    {
        var shape = new AttentionShape(heads, kvHeads, headDim, 1, null);
        using var rotary = Rotary(headDim);
        using var metadata = new AttentionMetadata();
        Append(metadata, 14, rows, [5, 2]);
        foreach (var type in Types)
        {
            using var cache = Garbage(_fast, shape);
            using var weight = _fast.PackLinear((randn(shape.QkvWidth, inFeatures) / Math.Sqrt(inFeatures)).to(type), null, LinearRole.Qkv, default);
            _fast.BeginStep(new int[rows], metadata);
            var x = randn(rows, inFeatures).to(type).cuda();
            var qkv = _fast.NormQkvRotary(x, ones(inFeatures).to(type).cuda(), 1e-5f, weight, rotary, cache, metadata, shape);
            AssertStored(qkv, cache, metadata, shape);
        }
    }

    [Fact]
    public void Rows_of_zeros_and_extremes_are_stored_as_the_format_says()
    {
        var shape = new AttentionShape(2, 2, 64, 1, null);
        using var rotary = new RotaryTable(ones(256, 32), zeros(256, 32));
        using var metadata = new AttentionMetadata();
        Append(metadata, 0, 5, [3]);
        var qkv = randn(5, shape.QkvWidth);
        qkv[0].zero_();
        qkv[1].fill_(-0.0f);
        qkv[3].mul_(1e-38f);
        qkv[4].fill_(1.75f); // exactly a power of two times 448
        var large = qkv[2].clone();
        foreach (var type in (ScalarType[])[ScalarType.Float32, CardTypes.Half])
        {
            qkv[2].copy_(large * ((type == ScalarType.Float16 ? (float)Half.MaxValue : float.MaxValue) / 8));
            using var cache = Garbage(_fast, shape);
            var fast = qkv.to(type).cuda();
            _fast.BeginStep(new int[5], metadata);
            _fast.RotaryAndCache(fast, rotary, cache, metadata, shape);
            AssertStored(fast, cache, metadata, shape);
        }
    }

    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    public void A_row_with_NaN_reaches_only_the_tokens_that_see_it(int headDim)
    {
        const int bad = 30, length = 50, chunk = 7;
        var shape = new AttentionShape(6, 2, headDim, 0.2f, null);
        using var rotary = Rotary(headDim);
        using var cache = Garbage(_fast, shape);
        var input = randn(length, shape.QkvWidth);
        input[bad, ^1] = float.NaN;
        for (var first = 0; first < length; first += chunk)
        {
            var count = Math.Min(chunk, length - first);
            using var metadata = new AttentionMetadata();
            Append(metadata, first, count, [9, 1, 22, 13]);
            var part = input.narrow(0, first, count).to(CardTypes.Half).cuda();
            _fast.BeginStep(new int[count], metadata);
            _fast.RotaryAndCache(part, rotary, cache, metadata, shape);
            // [tokens, kv heads]
            var numbers = _fast.Attention(part, cache, metadata, shape).isfinite().view(count, 2, 3 * headDim).to(float32).sum(2).cpu();
            for (var row = 0; row < count; row++)
            {
                Assert.Equal(3 * headDim, numbers[row, 0].item<float>()); // query heads of the KV head without NaN
                Assert.Equal(first + row < bad ? 3 * headDim : 0, numbers[row, 1].item<float>());
            }
        }
    }

    // What an earlier owner left in a block must never reach a result.
    private static KvLayerCache Garbage(IDeviceOps ops, AttentionShape shape, int blocks = Blocks)
    {
        var cache = KvCacheTensors.Allocate(ops, KvLayerSpec.KeysAndValues(shape.KvHeads, shape.HeadDim), blocks, KvCacheSpec.Float8);
        foreach (var tensor in cache.Tensors.Concat(cache.Scales))
            tensor.fill_(255);
        return cache;
    }

    private static void CopyTo(KvLayerCache target, KvLayerCache source)
    {
        foreach (var (to, from) in target.Tensors.Concat(target.Scales).Zip(source.Tensors.Concat(source.Scales)))
            to.copy_(from);
    }

    // Asserts that the cache holds the step's keys and values, rotated as in qkv, byte for byte.
    private static void AssertStored(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        using var scope = NewDisposeScope();
        var slots = tensor(metadata.SlotMapping.Span.ToArray()).to(int64);
        foreach (var (index, column) in ((int, int)[])[(0, shape.KeyOffset), (1, shape.ValueOffset)])
        {
            var rows = qkv.cpu().narrow(1, column, shape.KvHeads * shape.HeadDim).to(float32).reshape(-1, shape.KvHeads, shape.HeadDim);
            var (bytes, scales) = Float8Row.Encode(rows);
            Assert.Equal(Bytes(bytes), Bytes(cache.Tensors[index].cpu().view(-1, shape.KvHeads, shape.HeadDim).index_select(0, slots)));
            Assert.Equal(Bytes(scales), Bytes(cache.Scales[index].cpu().transpose(1, 2).reshape(-1, shape.KvHeads).index_select(0, slots)));
        }
    }

    private static byte[] Bytes(Tensor tensor) => tensor.contiguous().data<byte>().ToArray();
}
