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
/// Compares the GPU's latent attention over 8-bit floats with the plain version over the same bytes, and those bytes with the format's
/// definition.
/// </summary>
public sealed class CudaLatentFloat8OpsTests : IDisposable
{
    private const int Blocks = 64;
    private const float Epsilon = 1e-6f;
    private static readonly ScalarType[] Types = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16];
    private readonly CudaOps _fast;
    private readonly DisposeScope _scope;
    private readonly ILatentOps _plain = new TorchLatentOps(CPU);
    private readonly TorchOps _host = new(CPU);

    public CudaLatentFloat8OpsTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        CardTypes.SkipBeforeAmpere();
        _fast = new(0);
        _scope = NewDisposeScope();
        manual_seed(7);
    }

    private ILatentOps Latent => _fast.Features.Latent!;

    public void Dispose()
    {
        _scope?.Dispose();
        _fast?.Dispose();
    }

    // In random chunks: decode steps, short chunks, whole prompts and prompts behind a cached prefix.
    [Theory]
    [MemberData(nameof(CudaDeepseekOpsTests.LatentShapes), MemberType = typeof(CudaDeepseekOpsTests))]
    public void Attention_agrees_with_the_plain_version_over_the_same_bytes(int heads, int rank, int plain, int rotary, int value, bool interleaved)
    {
        var shape = new LatentAttentionShape(heads, rank, plain, rotary, value, 1 / MathF.Sqrt(plain + rotary), interleaved);
        foreach (var type in Types)
        {
            // Latent vectors that are small or large compared with the rotated part, with which they share a scale.
            foreach (var magnitude in (float[])[1, 1f / 64, 64])
                AssertAgrees(shape, type, magnitude, [1, 5, 40, 200, 17]);
        }
    }

    // One number of tokens is a multiple of the rows that cuDNN plans for, the other is not.
    [Theory]
    [InlineData(1024)]
    [InlineData(1100)]
    public void Long_prompts_with_nothing_before_them_agree_with_the_plain_version(int tokens)
    {
        var shape = new LatentAttentionShape(4, 512, 128, 64, 128, 1 / MathF.Sqrt(192), Interleaved: true);
        int[] table = [.. Enumerable.Range(0, (tokens + 15) / 16).Reverse()];
        using var rotary = new RotaryTable(ones(tokens, 32), zeros(tokens, 32));
        foreach (var type in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
        {
            using var scope = NewDisposeScope();
            using var cache = Garbage(_fast, shape, table.Length);
            using var plainCache = Garbage(_host, shape, table.Length);
            var (plainWeight, fastWeight) = Weights(shape, type, 1);
            using var metadata = new AttentionMetadata();
            Append(metadata, 0, tokens, table);
            var queries = randn(tokens, (long)shape.Heads * shape.QueryDim).to(type).cuda();
            _fast.BeginStep(new int[tokens], metadata);
            Latent.RotateAndStore(
                queries, randn(tokens, shape.RowWidth).to(type).cuda(), 0, randn(shape.Rank).to(type).cuda(), Epsilon, rotary, cache, metadata, shape);
            CopyTo(plainCache, cache);
            // Twice: what the first run left in the buffers for keys and values must not reach the second.
            for (var turn = 0; turn < 2; turn++)
            {
                AssertClose(
                    _plain.Attention(queries.cpu(), plainWeight, plainCache, metadata, shape), Latent.Attention(queries, fastWeight, cache, metadata, shape), type);
            }
        }
    }

    // Contexts that are split into parts, and one that is not; heads for single warps and for warpgroups.
    [Theory]
    [InlineData(1, 512, 64)]
    [InlineData(16, 512, 64)]
    [InlineData(128, 512, 64)]
    [InlineData(20, 64, 16)]
    [InlineData(5, 192, 80)]
    public void Long_contexts_agree_with_the_plain_version(int heads, int rank, int rotaryDim)
    {
        var shape = new LatentAttentionShape(heads, rank, 128, rotaryDim, 128, 1 / MathF.Sqrt(128 + rotaryDim), Interleaved: true);
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
            using var plainCache = Garbage(_host, shape, count);
            using var cache = Garbage(_fast, shape, count);
            plainCache.Tensors[0].copy_(Float8Row.Encode(randn(plainCache.Tensors[0].shape)).Bytes);
            plainCache.Scales[0].random_(118, 121);
            CopyTo(cache, plainCache);
            var (plainWeight, fastWeight) = Weights(shape, type, 1);
            // Large values, so that few positions have most of the weight: a mean over thousands of positions would be close to 0.
            var queries = (randn(contexts.Length, (long)shape.Heads * shape.QueryDim) * 4).to(type);
            _fast.BeginStep(new int[contexts.Length], metadata);
            AssertNear(
                _plain.Attention(queries, plainWeight, plainCache, metadata, shape), Latent.Attention(queries.cuda(), fastWeight, cache, metadata, shape),
                type == ScalarType.Float32 ? 1e-4 : 3e-2);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    [InlineData(128)]
    public void Every_byte_is_read_as_its_value(int heads)
    {
        const int rows = 4, rank = 512;
        var shape = new LatentAttentionShape(heads, rank, 128, 64, rank, 1, Interleaved: true);
        // Each row holds every byte twice; the next row holds it in other columns.
        byte[] codes =
        [
            .. Enumerable.Range(0, rows * shape.RowWidth).Select(i => (byte)((i / shape.RowWidth * 85) + (i % shape.RowWidth * 37)))
                .Select(code => (code & 0x7F) == 0x7F ? (byte)0 : code),
        ];
        foreach (var type in Types)
        {
            using var scope = NewDisposeScope();
            using var cache = Garbage(_fast, shape);
            using var metadata = new AttentionMetadata();
            for (var row = 0; row < rows; row++)
                Append(metadata, 0, 1, [row]);
            // The attention of a token that sees only itself is its own latent vector, which the value matrices leave unchanged.
            cache.Scales[0].fill_(125); // a quarter
            cache.Tensors[0].narrow(0, 0, rows).select(1, 0).copy_(tensor(codes).view(rows, 1, shape.RowWidth));
            var projection = zeros(heads, shape.PlainDim + shape.ValueDim, rank);
            projection.narrow(1, shape.PlainDim, shape.ValueDim).copy_(eye(rank).unsqueeze(0).expand(heads, -1, -1));
            using var weight = Latent.Pack(projection.view(-1, rank).to(type).cuda(), shape);
            _fast.BeginStep(new int[rows], metadata);
            var queries = randn(rows, (long)heads * shape.QueryDim).to(type).cuda();
            var result = Latent.Attention(queries, weight, cache, metadata, shape).to(float32).cpu().data<float>().ToArray();
            for (var i = 0; i < result.Length; i++)
                Assert.Equal(Float8.Values[codes[(i / (heads * rank) * shape.RowWidth) + (i % rank)]] / 4, result[i]);
        }
    }

    [Theory]
    [InlineData(512, 64)]
    [InlineData(20, 6)]
    public void Rows_of_zeros_extremes_and_NaN_are_stored_as_the_format_says(int rank, int rotaryDim)
    {
        var shape = new LatentAttentionShape(2, rank, 16, rotaryDim, 16, 1, Interleaved: true);
        using var rotary = new RotaryTable(ones(256, rotaryDim / 2), zeros(256, rotaryDim / 2));
        using var metadata = new AttentionMetadata();
        Append(metadata, 14, 7, [5, 2]);
        // With a latent vector of 0 and no rotation, the stored row is known exactly.
        var rows = zeros(7, shape.RowWidth);
        rows.narrow(1, rank, rotaryDim).copy_(randn(7, rotaryDim));
        rows[0].zero_();
        rows[1].narrow(0, rank, rotaryDim).fill_(-1e-30f);
        rows[2].mul_(float.MaxValue / 8);
        rows[3].mul_(1e-38f);
        rows[4].narrow(0, rank, rotaryDim).fill_(1.75f); // exactly a power of two times 448
        rows[5, ^1] = float.NaN;
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            using var cache = Garbage(_fast, shape);
            var stored = rows.to(type);
            _fast.BeginStep(new int[7], metadata);
            Latent.RotateAndStore(
                randn(7, 2 * shape.QueryDim).to(type).cuda(), stored.cuda(), 0, ones(rank).to(type).cuda(), Epsilon, rotary, cache, metadata, shape);
            var (bytes, scales) = Float8Row.Encode(stored.to(float32));
            var (actualBytes, actualScales) = Stored(cache, metadata);
            Assert.Equal(scales.data<byte>().ToArray(), actualScales.data<byte>().ToArray());
            for (var row = 0; row < 7; row++)
            {
                // The elements of the row with NaN are unspecified.
                if (row != 5)
                    Assert.Equal(bytes[row].data<byte>().ToArray(), actualBytes[row].contiguous().data<byte>().ToArray());
            }
        }
    }

    // The row with NaN lies among others in its part of the context. For single warps, one case also has it alone in its part.
    [Theory]
    [InlineData(16, 30)]
    [InlineData(16, 32)]
    [InlineData(128, 30)]
    public void A_row_with_NaN_reaches_only_the_tokens_that_see_it(int heads, int bad)
    {
        const int length = 50, chunk = 7;
        var shape = new LatentAttentionShape(heads, 512, 128, 64, 128, 0.07f, Interleaved: true);
        using var rotary = Rotary(shape.RotaryDim);
        using var cache = Garbage(_fast, shape);
        var (_, weight) = Weights(shape, ScalarType.BFloat16, 1);
        var input = randn(length, shape.RowWidth);
        input[bad, ^1] = float.NaN;
        for (var first = 0; first < length; first += chunk)
        {
            var count = Math.Min(chunk, length - first);
            using var metadata = new AttentionMetadata();
            Append(metadata, first, count, [9, 1, 22, 13]);
            var queries = randn(count, (long)heads * shape.QueryDim).to(ScalarType.BFloat16).cuda();
            _fast.BeginStep(new int[count], metadata);
            Latent.RotateAndStore(
                queries, input.narrow(0, first, count).to(ScalarType.BFloat16).cuda(), 0, ones(shape.Rank).to(ScalarType.BFloat16).cuda(), Epsilon, rotary,
                cache, metadata, shape);
            var numbers = Latent.Attention(queries, weight, cache, metadata, shape).isfinite().to(float32).sum(1).cpu();
            for (var row = 0; row < count; row++)
                Assert.Equal(first + row < bad ? heads * shape.ValueDim : 0, numbers[row].item<float>());
        }
    }

    private void AssertAgrees(LatentAttentionShape shape, ScalarType type, float magnitude, int[] lengths)
    {
        using var scope = NewDisposeScope();
        using var cache = Garbage(_fast, shape);
        using var plainCache = Garbage(_host, shape);
        using var ownCache = Garbage(_host, shape);
        using var rotary = Rotary(shape.RotaryDim);
        // The norm's weight sets the magnitude of the latent vectors, and the matrices undo it.
        var (plainWeight, fastWeight) = Weights(shape, type, 1 / magnitude);
        var norm = (randn(shape.Rank) * magnitude).to(type);
        var random = new Random(3);
        var done = new int[lengths.Length];
        var tables = BlockTables(lengths, random);
        while (done.Zip(lengths).Any(pair => pair.First < pair.Second))
        {
            using var step = NewDisposeScope();
            using var metadata = NextStep(lengths, done, tables, random);
            var queries = randn(metadata.TokenCount, (long)shape.Heads * shape.QueryDim).to(type);
            var rows = randn(metadata.TokenCount, 3 + shape.RowWidth).to(type);
            var fastQueries = queries.cuda();
            _fast.BeginStep(new int[metadata.TokenCount], metadata);
            Latent.RotateAndStore(fastQueries, rows.cuda(), 3, norm.cuda(), Epsilon, rotary, cache, metadata, shape);
            _plain.RotateAndStore(queries, rows, 3, norm, Epsilon, rotary, ownCache, metadata, shape);
            AssertClose(queries, fastQueries, type);
            AssertStoredAlike(ownCache, cache, metadata);
            CopyTo(plainCache, cache);
            AssertClose(
                _plain.Attention(fastQueries.cpu(), plainWeight, plainCache, metadata, shape),
                Latent.Attention(fastQueries, fastWeight, cache, metadata, shape), type);
        }
    }

    private (LatentWeight Plain, LatentWeight Fast) Weights(LatentAttentionShape shape, ScalarType type, float scale)
    {
        var projection = (randn((long)shape.Heads * (shape.PlainDim + shape.ValueDim), shape.Rank) * scale / MathF.Sqrt(shape.Rank)).to(type);
        return (_plain.Pack(projection, shape), Latent.Pack(projection.cuda(), shape));
    }

    // What an earlier owner left in a block must never reach a result.
    private static KvLayerCache Garbage(IDeviceOps ops, LatentAttentionShape shape, int blocks = Blocks)
    {
        var cache = KvCacheTensors.Allocate(ops, KvLayerSpec.Rows(shape.RowWidth), blocks, KvCacheSpec.Float8);
        foreach (var tensor in cache.Tensors.Concat(cache.Scales))
            tensor.fill_(255);
        return cache;
    }

    private static void CopyTo(KvLayerCache target, KvLayerCache source)
    {
        foreach (var (to, from) in target.Tensors.Concat(target.Scales).Zip(source.Tensors.Concat(source.Scales)))
            to.copy_(from);
    }

    // The step's stored rows, copied to the host: [tokens, width] and [tokens].
    private static (Tensor Bytes, Tensor Scales) Stored(KvLayerCache cache, AttentionMetadata metadata)
    {
        var slots = tensor(metadata.SlotMapping.Span.ToArray()).to(int64);
        var bytes = cache.Tensors[0].cpu();
        return (bytes.view(-1, bytes.shape[^1]).index_select(0, slots), cache.Scales[0].cpu().reshape(-1).index_select(0, slots));
    }

    // A norm that adds in another order may move an element that lies between two steps of the format to the other step.
    private static void AssertStoredAlike(KvLayerCache expected, KvLayerCache actual, AttentionMetadata metadata)
    {
        var ((bytes, scales), (otherBytes, otherScales)) = (Stored(expected, metadata), Stored(actual, metadata));
        Assert.Equal(scales.data<byte>().ToArray(), otherScales.data<byte>().ToArray());
        var (wide, other, smallest) = (Float8Row.Decode(bytes, scales), Float8Row.Decode(otherBytes, otherScales), Float8Row.Decode(ones_like(bytes), scales));
        var excess = ((wide - other).abs() - maximum(wide.abs() / 8, smallest)).max().item<float>();
        Assert.True(excess <= 0, $"stored values are {excess} more than a step of the format apart");
        var same = bytes.eq(otherBytes).to(float32).mean().item<float>();
        Assert.True(same >= 0.99f, $"{same:P2} of the bytes are the same");
    }
}
