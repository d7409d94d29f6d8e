using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Weights;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares the CPU's kernels with the plain ATen version on random shapes.</summary>
public sealed class CpuOpsTests : IDisposable
{
    private readonly CpuOps _cpu = new();
    private readonly IDeviceOps _fast;
    private readonly IDeviceOps _plain;
    private readonly DisposeScope _scope;

    public CpuOpsTests()
    {
        TorchLibrary.EnsureLoaded();
        _scope = NewDisposeScope();
        _fast = _cpu;
        _plain = new TorchOps(CPU);
        manual_seed(7);
    }

    public static TheoryData<int, int, int> LinearShapes => new()
    {
        { 1, 8, 1 }, { 1, 256, 768 }, { 3, 33, 31 }, { 8, 64, 32 }, { 13, 100, 97 }, { 64, 256, 512 }, { 257, 48, 130 },
    };

    public static TheoryData<int, int, int, int?> AttentionShapes => new()
    {
        { 4, 2, 64, null }, { 4, 1, 24, null }, { 8, 8, 8, null }, { 14, 2, 64, null }, { 4, 2, 128, 20 }, { 6, 3, 80, 5 }, { 40, 1, 16, null },
    };

    [Theory]
    [MemberData(nameof(LinearShapes))]
    public void Linear_agrees_with_the_plain_version(int rows, int inFeatures, int outFeatures)
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            var weight = randn(outFeatures, inFeatures).to(type);
            var bias = randn(outFeatures).to(type);
            var x = randn(rows, inFeatures).to(type);
            using var fast = _fast.PackLinear(weight, bias);
            using var plain = _plain.PackLinear(weight, bias);
            AssertClose(_plain.Linear(x, plain), _fast.Linear(x, fast), type);
            using var unbiased = _fast.PackLinear(weight, null);
            AssertClose(x.matmul(weight.t()), _fast.Linear(x, unbiased), type);
        }
    }

    [Theory]
    [MemberData(nameof(LinearShapes))]
    public void A_single_bfloat16_row_through_panels_agrees_with_the_plain_version(int rows, int inFeatures, int outFeatures)
    {
        var weight = randn(outFeatures, inFeatures).to(bfloat16);
        var bias = randn(outFeatures).to(bfloat16);
        using var packed = _fast.PackLinear(weight, bias, packing: WeightPacking.DecodeCopies);
        using var unbiased = _fast.PackLinear(weight, null, packing: WeightPacking.DecodeCopies);
        using var plain = _plain.PackLinear(weight, bias);
        Assert.NotNull(packed.Panels);
        for (var row = 0; row < Math.Min(rows, 3); row++)
        {
            var x = randn(1, inFeatures).to(bfloat16);
            AssertClose(_plain.Linear(x, plain), _fast.Linear(x, packed), ScalarType.BFloat16);
            AssertClose(x.matmul(weight.t()), _fast.Linear(x, unbiased), ScalarType.BFloat16);
        }
    }

    [Fact]
    public void The_largest_value_of_each_row_and_its_first_column_are_those_of_the_plain_version() => AssertMaximaAgree(_plain, _fast,
        [ScalarType.Float32, ScalarType.BFloat16]);

    // Our own kernels read what oneDNN packed only if it has the layout that they expect.
    [Fact]
    public void Panels_are_found_in_what_was_packed_and_in_nothing_else()
    {
        Assert.SkipUnless(System.Runtime.Intrinsics.X86.Avx512BW.IsSupported, "oneDNN packs no bfloat16 here.");
        var weight = randn(200, 96).to(bfloat16);
        using var packed = MkldnnLinear.Pack(weight);
        Assert.NotNull(PackedPanels.Find(packed, weight));
        Assert.Null(PackedPanels.Find(packed, randn(200, 96).to(bfloat16)));
        Assert.Null(PackedPanels.Find(packed, randn(100, 96).to(bfloat16)));
        Assert.Null(PackedPanels.Find(packed, weight.flip(1).contiguous()));
    }

    [Fact]
    public void A_float32_row_is_the_same_bits_alone_and_in_any_batch()
    {
        using var weight = _fast.PackLinear(randn(131, 300), randn(131));
        var x = randn(29, 300);
        var all = _fast.Linear(x, weight);
        for (var row = 0; row < 29; row++)
            Assert.True(Same(_fast.Linear(x.narrow(0, row, 1), weight), all.narrow(0, row, 1)), $"row {row}");
    }

    /// <summary>A tile that is not full repeats its last row.</summary>
    [Fact]
    public void A_float32_row_is_the_same_bits_with_any_number_of_others()
    {
        using var weight = _fast.PackLinear(randn(131, 301), randn(131));
        var x = randn(20, 301);
        var alone = Enumerable.Range(0, 20).Select(row => _fast.Linear(x.narrow(0, row, 1), weight)).ToArray();
        for (var rows = 2; rows <= 20; rows++)
            Assert.True(Same(cat(alone[..rows]), _fast.Linear(x.narrow(0, 0, rows), weight)), $"{rows} rows");
    }

    [Theory]
    [InlineData(1, 64)]
    [InlineData(7, 256)]
    [InlineData(300, 70)]
    public void Norms_and_activations_agree_with_the_plain_version(int rows, int width)
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            var x = randn(rows, width).to(type);
            var weight = randn(width).to(type);
            AssertClose(_plain.RmsNorm(x, weight, 1e-6f), _fast.RmsNorm(x, weight, 1e-6f), type);

            var gateUp = (randn(rows, 2 * width) * 4).to(type);
            AssertClose(_plain.SiluAndMul(gateUp), _fast.SiluAndMul(gateUp), type);
        }
    }

    [Theory]
    [InlineData(1, 64, 80)]
    [InlineData(7, 96, 176)]
    [InlineData(300, 70, 71)]
    public void Norms_of_some_columns_are_those_of_a_matrix_that_has_only_them(int rows, int width, int stride)
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            var part = randn(rows, stride).to(type).narrow(1, 0, width);
            var weight = randn(width).to(type);
            var packed = _plain.PackLinear(randn(5, width).to(type), null, LinearRole.Qkv, WeightPacking.Compact);
            foreach (var ops in (IDeviceOps[])[_plain, _fast])
            {
                var normed = ops.RmsNorm(part, weight, 1e-6f);
                Assert.True(normed.is_contiguous());
                Assert.True(Same(ops.RmsNorm(part.contiguous(), weight, 1e-6f).to(float32), normed.to(float32)));
            }

            var composed = new ComposedOps(_plain);
            var wanted = composed.NormLinear(part.contiguous(), weight, 1e-6f, packed).to(float32);
            Assert.True(Same(wanted, composed.NormLinear(part, weight, 1e-6f, packed).to(float32)));
        }
    }

    [Theory]
    [MemberData(nameof(AttentionShapes))]
    public void Attention_over_scattered_blocks_agrees_with_the_plain_version(int heads, int kvHeads, int headDim, int? window)
    {
        var shape = new AttentionShape(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), window);
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
            AssertAttentionAgrees(_plain, _fast, shape, type);
    }

    [Fact]
    public void Float32_attention_is_the_same_bits_whole_and_in_chunks()
    {
        var shape = new AttentionShape(6, 2, 32, 0.2f, null);
        using var rotary = Rotary(32);
        var qkv = randn(150, shape.QkvWidth);
        var whole = RunChunks(150);
        foreach (var chunk in (int[])[1, 7, 64])
            Assert.True(Same(whole, RunChunks(chunk)), $"chunks of {chunk}");

        Tensor RunChunks(int chunk)
        {
            using var cache = ZeroedCache(_fast, 64, shape, ScalarType.Float32);
            var parts = new List<Tensor>();
            var table = BlockTables([150], new Random(5));
            for (var first = 0; first < 150; first += chunk)
            {
                var count = Math.Min(chunk, 150 - first);
                using var metadata = new AttentionMetadata();
                Append(metadata, first, count, table[0]);
                var part = qkv.narrow(0, first, count).clone();
                _fast.RotaryAndCache(part, rotary, cache, metadata, shape);
                parts.Add(_fast.Attention(part, cache, metadata, shape));
            }

            return cat(parts, 0);
        }
    }

    [Fact]
    public void Rows_are_selected_in_the_order_asked_for()
    {
        var x = randn(9, 33);
        Assert.True(Same(_plain.SelectRows(x, [8, 0, 3, 3]), _fast.SelectRows(x, [8, 0, 3, 3])));
    }

    public void Dispose()
    {
        _cpu.Dispose();
        _scope.Dispose();
    }

    private static bool Same(Tensor first, Tensor second) => first.data<float>().ToArray().AsSpan().SequenceEqual(second.contiguous().data<float>().ToArray());
}
