using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares a GPU's latent attention and 8-bit float products with the plain version on the CPU.</summary>
public sealed class CudaDeepseekOpsTests : IDisposable
{
    private readonly CudaOps _cuda;
    private readonly TorchOps _plain;
    private readonly DisposeScope _scope;

    public CudaDeepseekOpsTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        (_cuda, _plain) = (new(0, fp8WeightsOnly: true), new(CPU));
        _scope = NewDisposeScope();
        manual_seed(7);
    }

    // heads, rank, plain, rotary, value, interleaved; widths that suit tensor cores and widths that do not.
    public static TheoryData<int, int, int, int, int, bool> LatentShapes => new()
    {
        { 1, 512, 128, 64, 128, true }, { 16, 512, 128, 64, 128, true }, { 128, 512, 128, 64, 128, true }, { 20, 64, 32, 16, 32, true },
        { 4, 32, 16, 8, 16, false }, { 3, 20, 12, 6, 10, true },
    };

    // Rows, inputs, outputs, the block's rows and columns, inputs of the first block that are not in the slice.
    public static TheoryData<int, int, int, int, int, int> Fp8Shapes => new()
    {
        { 1, 7168, 2176, 128, 128, 0 }, { 3, 1536, 24576 / 8, 128, 128, 64 }, { 8, 128, 16, 128, 128, 0 }, { 9, 512, 7168, 128, 128, 0 },
        { 30, 2048, 130, 128, 128, 0 }, { 64, 304, 200, 128, 128, 0 }, { 128, 512, 320, 1, Fp8Grid.Whole, 0 }, { 129, 256, 64, 128, 128, 0 },
        { 2, 300, 131, 128, 128, 50 }, { 5, 256, 64, 16, 16, 3 },
    };

    public void Dispose()
    {
        _scope?.Dispose();
        _cuda?.Dispose();
    }

    [Theory]
    [MemberData(nameof(LatentShapes))]
    public void Latent_attention_agrees_with_the_plain_version(int heads, int rank, int plain, int rotary, int value, bool interleaved)
    {
        CardTypes.SkipBeforeAmpere();
        foreach (var type in CardTypes.All)
            AssertLatentAttentionAgrees(_plain, _cuda, new(heads, rank, plain, rotary, value, 1 / MathF.Sqrt(plain + rotary), interleaved), type);
    }

    // Rows whose positions one cluster or several clusters share, and more rows than clusters take. A step recorded for long contexts also
    // serves short ones.
    [Theory]
    [InlineData(16, 0, new[] { 1 })]
    [InlineData(16, 0, new[] { 31 })]
    [InlineData(17, 100_000, new[] { 33 })]
    [InlineData(16, 0, new[] { 1000 })]
    [InlineData(16, 100_000, new[] { 1023 })]
    [InlineData(16, 0, new[] { 5000 })]
    [InlineData(1, 100_000, new[] { 5000, 700, 1 })]
    [InlineData(16, 8000, new[] { 4096, 2049, 64, 1, 31, 33, 1000, 17 })]
    [InlineData(16, 0, new[] { 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56 })]
    [InlineData(64, 0, new[] { 1000, 90 })]
    [InlineData(128, 0, new[] { 3000 })]
    [InlineData(128, 100_000, new[] { 300 })]
    public void Decode_steps_agree_with_the_plain_version(int heads, int bound, int[] contexts) =>
        AssertSingleRowsAgree(heads, bound, [.. contexts.Select(context => (context, 1))]);

    // More heads than blocks share, and further rows behind the filled ones.
    [Theory]
    [InlineData(1, 5)]
    [InlineData(17, 300)]
    [InlineData(40, 33)]
    public void The_rotated_part_reaches_the_keys_of_every_head(int heads, int positions)
    {
        CardTypes.SkipBeforeAmpere();
        var shape = new LatentAttentionShape(heads, 64, 32, 16, 32, 1, Interleaved: true);
        var context = randn(positions, shape.RowWidth).to(ScalarType.BFloat16).cuda();
        var wanted = zeros([heads, positions + 7, shape.QueryDim], ScalarType.BFloat16, _cuda.Device);
        var keys = wanted.clone();
        new RotatedKeys(kernels: null).Spread(context, wanted, shape);
        new RotatedKeys(_cuda.Kernels).Spread(context, keys, shape);
        Assert.True(keys.eq(wanted).all().item<bool>());
        Assert.NotEqual(0, wanted.abs().max().to(float32).item<float>());
    }

    // More rows than are absorbed at once, and single tokens before, between and behind prompts.
    [Fact]
    public void Single_tokens_anywhere_in_a_step_agree_with_the_plain_version()
    {
        AssertSingleRowsAgree(2, 0, [.. Enumerable.Range(0, 1100).Select(i => (1 + (i % 40), 1))]);
        AssertSingleRowsAgree(2, 0, [(5, 1), (700, 600), (33, 1), (20, 20), (1, 1), (1200, 1100), (90, 1), (3, 2)]);
        AssertSingleRowsAgree(2, 0, [(1200, 1200), (90, 1)]);
    }

    // Compares only rows of sequences with few tokens in the step. Those with a prompt's worth of tokens are computed in another way, which
    // other tests compare.
    private void AssertSingleRowsAgree(int heads, int bound, (int Context, int Tokens)[] sequences)
    {
        CardTypes.SkipBeforeAmpere();
        var contexts = sequences.Select(sequence => sequence.Context).ToArray();
        var tokens = sequences.Sum(sequence => sequence.Tokens);
        var singles = new List<long>();
        var shape = new LatentAttentionShape(heads, 512, 128, 64, 128, 1 / MathF.Sqrt(192), Interleaved: true);
        var spec = KvLayerSpec.Rows(shape.RowWidth);
        var free = Enumerable.Range(0, contexts.Sum(context => (context + 15) / 16)).ToArray();
        var count = free.Length;
        new Random(4).Shuffle(free);
        foreach (var type in CardTypes.Halves)
        {
            using var scope = NewDisposeScope();
            var (plain, fast, next) = ((ILatentOps)new TorchLatentOps(CPU), _cuda.Features.Latent!, 0);
            using var plainCache = KvCacheTensors.Allocate(_plain, spec, count, type);
            using var fastCache = KvCacheTensors.Allocate(_cuda, spec, count, type);
            plainCache.Tensors[0].copy_(randn(plainCache.Tensors[0].shape));
            fastCache.Tensors[0].copy_(plainCache.Tensors[0]);
            using var metadata = new AttentionMetadata { ContextBound = bound };
            singles.Clear();
            foreach (var (context, own) in sequences)
            {
                if (own < StepInputs.MinRunTokens)
                    singles.AddRange(Enumerable.Range(metadata.TokenCount, own).Select(row => (long)row));
                var table = free[next..(next += (context + 15) / 16)];
                Append(metadata, context - own, own, table);
                // What lies behind the end of a sequence must never reach a result.
                if (context % 16 > 0)
                    fastCache.Tensors[0][table[^1]].reshape(16, -1).narrow(0, context % 16, 16 - (context % 16)).fill_(float.NaN);
            }

            var projection = (randn((long)heads * (shape.PlainDim + shape.ValueDim), shape.Rank) / MathF.Sqrt(shape.Rank)).to(type);
            using var plainWeight = plain.Pack(projection, shape);
            using var fastWeight = fast.Pack(projection.cuda(), shape);
            // Large values, so that few positions have most of the weight: a mean over thousands of positions would be close to 0.
            var queries = (randn(tokens, (long)heads * shape.QueryDim) * 4).to(type);
            var rows = tensor(singles.ToArray());
            var wanted = plain.Attention(queries, plainWeight, plainCache, metadata, shape).index_select(0, rows);
            _cuda.BeginStep(new int[tokens], metadata);
            // Twice: joining the parts must start afresh.
            for (var turn = 0; turn < 2; turn++)
                AssertNear(wanted, fast.Attention(queries.cuda(), fastWeight, fastCache, metadata, shape).index_select(0, rows.cuda()), 3e-2);
        }
    }

    // One number of tokens is a multiple of the rows that cuDNN plans for, the other is not. Flash attention computes both where libtorch
    // does not choose cuDNN.
    [Theory]
    [InlineData(1024)]
    [InlineData(1100)]
    public void Long_prompts_with_nothing_before_them_agree_with_the_plain_version(int tokens)
    {
        CardTypes.SkipBeforeAmpere();
        var shape = new LatentAttentionShape(4, 512, 128, 64, 128, 1 / MathF.Sqrt(192), Interleaved: true);
        int[] table = [.. Enumerable.Range(0, (tokens + 15) / 16).Reverse()];
        var angles = arange(0, tokens).unsqueeze(1) * pow(tensor(10000f), -arange(0, 64, 2).to(float32) / 64).unsqueeze(0);
        using var rotary = new RotaryTable(angles.cos(), angles.sin());
        foreach (var type in CardTypes.Halves)
        {
            var (plain, fast, spec) = ((ILatentOps)new TorchLatentOps(CPU), _cuda.Features.Latent!, KvLayerSpec.Rows(shape.RowWidth));
            using var plainCache = KvCacheTensors.Allocate(_plain, spec, table.Length, type);
            using var fastCache = KvCacheTensors.Allocate(_cuda, spec, table.Length, type);
            plainCache.Tensors[0].zero_();
            fastCache.Tensors[0].fill_(float.NaN);
            var projection = (randn((long)shape.Heads * (shape.PlainDim + shape.ValueDim), shape.Rank) / MathF.Sqrt(shape.Rank)).to(type);
            using var plainWeight = plain.Pack(projection, shape);
            using var fastWeight = fast.Pack(projection.cuda(), shape);
            using var metadata = new AttentionMetadata();
            Append(metadata, 0, tokens, table);
            var (norm, queries, rows) = (randn(shape.Rank).to(type), randn(tokens, (long)shape.Heads * shape.QueryDim).to(type), randn(tokens, shape.RowWidth).to(type));
            var (plainQueries, fastQueries) = (queries.clone(), queries.cuda());
            _cuda.BeginStep(new int[tokens], metadata);
            plain.RotateAndStore(plainQueries, rows, 0, norm, 1e-6f, rotary, plainCache, metadata, shape);
            fast.RotateAndStore(fastQueries, rows.cuda(), 0, norm.cuda(), 1e-6f, rotary, fastCache, metadata, shape);
            // Twice: what the first run left in the buffers for keys and values must not reach the second.
            for (var turn = 0; turn < 2; turn++)
            {
                AssertClose(
                    plain.Attention(plainQueries, plainWeight, plainCache, metadata, shape),
                    fast.Attention(fastQueries, fastWeight, fastCache, metadata, shape), type);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Fp8Shapes))]
    public void Products_by_8_bit_floats_agree_with_the_plain_version(
        int rows, int inFeatures, int outFeatures, int blockRows, int blockColumns, int offset)
    {
        var (bytes, scales, grid) = Fp8OpsTests.Matrix(inFeatures, outFeatures, blockRows, blockColumns, offset);
        var plain = new TorchFp8Ops(CPU);
        foreach (var type in CardTypes.All)
        {
            var x = (randn(rows, inFeatures) / Math.Sqrt(inFeatures)).to(type);
            foreach (var bias in (Tensor?[])[null, randn(outFeatures).to(type)])
            {
                using var wanted = plain.Pack(bytes, scales, grid, bias, LinearRole.Other);
                using var packed = _cuda.Features.Fp8!.Pack(bytes, scales, grid, bias, LinearRole.Other);
                AssertClose(plain.Linear(x, wanted), _cuda.Features.Fp8!.Linear(x.cuda(), packed), type);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    public void Every_8_bit_float_has_its_value(int rows)
    {
        var codes = Enumerable.Range(0, 256).Select(code => (code & 0x7F) == 0x7F ? 0 : code).ToArray();
        var bytes = zeros([256, 256], ScalarType.Byte);
        for (var code = 0; code < 256; code++)
            bytes[code, code] = codes[code];
        var grid = new Fp8Grid([.. Enumerable.Range(0, 256).Select(row => row / 128)], 128, 0);
        foreach (var type in CardTypes.Halves)
        {
            using var packed = _cuda.Features.Fp8!.Pack(bytes, ones(2, 2), grid, null, LinearRole.Other);
            var result = _cuda.Features.Fp8!.Linear(ones([rows, 256], type).cuda(), packed).cpu().to(float32).data<float>().ToArray();
            for (var i = 0; i < result.Length; i++)
                Assert.Equal(Float8.Values[codes[i % 256]], result[i]);
        }
    }
}
