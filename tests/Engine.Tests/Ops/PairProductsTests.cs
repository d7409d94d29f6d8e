using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// Batch-invariant bfloat16 on the CPU: a row's bits do not depend on the other rows, on threads, or on how the work is cut.
/// </summary>
public sealed class PairProductsTests : IDisposable
{
    private readonly CpuOps _invariant;
    private readonly DisposeScope _scope;

    public PairProductsTests()
    {
        TorchLibrary.EnsureLoaded();
        _scope = NewDisposeScope();
        _invariant = new(batchInvariant: true);
        manual_seed(11);
    }

    public static TheoryData<int, int, int> Shapes => new()
    {
        { 1, 8, 1 }, { 3, 33, 31 }, { 7, 64, 64 }, { 13, 301, 131 }, { 97, 256, 70 }, { 200, 4099, 65 }, { 12, 9000, 200 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_product_agrees_with_the_plain_version(int rows, int inFeatures, int outFeatures)
    {
        var plain = new TorchOps(CPU);
        var (x, weight, bias) = (randn(rows, inFeatures).to(bfloat16), randn(outFeatures, inFeatures).to(bfloat16), randn(outFeatures).to(bfloat16));
        using var packed = Pack(weight, bias);
        using var unpacked = plain.PackLinear(weight.to(float32), bias.to(float32), LinearRole.Other, LocalLlm.Weights.WeightPacking.Compact);
        AssertClose(plain.Linear(x.to(float32), unpacked).to(bfloat16), _invariant.Linear(x, packed), ScalarType.BFloat16);
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_row_is_the_same_bits_alone_and_among_any_others(int rows, int inFeatures, int outFeatures)
    {
        using var weight = Pack(randn(outFeatures, inFeatures).to(bfloat16), randn(outFeatures).to(bfloat16));
        var x = randn(rows, inFeatures).to(bfloat16);
        var alone = cat([.. Enumerable.Range(0, rows).Select(row => _invariant.Linear(x.narrow(0, row, 1), weight))]);
        for (var count = 1; count <= rows; count += count < 20 ? 1 : 37)
            Assert.True(Same(alone.narrow(0, rows - count, count), _invariant.Linear(x.narrow(0, rows - count, count), weight)), $"the last {count} rows");
    }

    [Fact]
    public void A_row_with_NaN_leaves_the_others_alone()
    {
        using var weight = Pack(randn(70, 33).to(bfloat16), null);
        var x = randn(9, 33).to(bfloat16);
        var wanted = _invariant.Linear(x, weight);
        x.narrow(0, 4, 1).fill_(float.NaN);
        var got = _invariant.Linear(x, weight);
        Assert.True(Same(wanted.narrow(0, 0, 4), got.narrow(0, 0, 4)));
        Assert.True(Same(wanted.narrow(0, 5, 4), got.narrow(0, 5, 4)));
        Assert.True(got.narrow(0, 4, 1).isnan().all().item<bool>());
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Machine_code_gives_the_bits_of_the_plain_loop(int rows, int inFeatures, int outFeatures)
    {
        using var machine = new PairProducts();
        using var loop = new PairProducts(usesMachineCode: false);
        Assert.False(loop.UsesMachineCode);
        if (!machine.UsesMachineCode)
            Assert.Skip("this CPU has no bfloat16 dot products, or the system runs no code that is written at run time");
        var x = randn(rows, inFeatures).to(bfloat16);
        using var weight = Pack(randn(outFeatures, inFeatures).to(bfloat16), randn(outFeatures).to(bfloat16));
        Assert.True(Same(loop.Multiply(x, weight), machine.Multiply(x, weight)));
    }

    [Fact]
    public void There_is_one_copy_of_a_matrix()
    {
        Assert.True(_invariant.Features.IsBatchInvariant);
        Assert.Empty(_invariant.Features.DecodeCopyTypes);
        using var usual = new CpuOps();
        Assert.False(usual.Features.IsBatchInvariant);
        Assert.Equal(CpuOps.KeepsDecodeCopies, usual.Features.DecodeCopyTypes.Count > 0);
    }

    /// <summary>From 80 rows on, a library multiplies widened 8-bit floats, unless rows must not depend on one another.</summary>
    [Fact]
    public void Rows_times_8_bit_floats_are_the_same_bits_in_any_number()
    {
        var fp8 = _invariant.Features.Fp8!;
        var bytes = randint(0, 0x7F, [70, 130], ScalarType.Byte);
        using var weight = fp8.Pack(bytes, rand(1, 2), new Fp8Grid(new int[70], 128, 0), null, LinearRole.Other);
        var x = randn(200, 130).to(bfloat16);
        var all = fp8.Linear(x, weight);
        for (var row = 0; row < 200; row++)
            Assert.True(Same(fp8.Linear(x.narrow(0, row, 1), weight), all.narrow(0, row, 1)), $"row {row}");
    }

    [Fact]
    public void BFloat16_attention_is_the_same_bits_whole_and_in_chunks()
    {
        var shape = new AttentionShape(6, 2, 32, 0.2f, 37);
        using var rotary = Rotary(32);
        var qkv = randn(150, shape.QkvWidth).to(bfloat16);
        var whole = RunChunks(150);
        foreach (var chunk in (int[])[1, 7, 64])
            Assert.True(Same(whole, RunChunks(chunk)), $"chunks of {chunk}");

        Tensor RunChunks(int chunk)
        {
            using var cache = ZeroedCache(_invariant, 64, shape, ScalarType.BFloat16);
            var parts = new List<Tensor>();
            var table = BlockTables([150], new Random(5));
            for (var first = 0; first < 150; first += chunk)
            {
                var count = Math.Min(chunk, 150 - first);
                using var metadata = new AttentionMetadata();
                Append(metadata, first, count, table[0]);
                var part = qkv.narrow(0, first, count).clone();
                _invariant.RotaryAndCache(part, rotary, cache, metadata, shape);
                parts.Add(_invariant.Attention(part, cache, metadata, shape));
            }

            return cat(parts, 0);
        }
    }

    public void Dispose()
    {
        _invariant.Dispose();
        _scope.Dispose();
    }

    private LinearWeight Pack(Tensor weight, Tensor? bias) =>
        _invariant.PackLinear(weight, bias, LinearRole.Other, LocalLlm.Weights.WeightPacking.Compact);

    // Compares bits, because NaN equals no number.
    private static bool Same(Tensor first, Tensor second) => first.contiguous().bytes.SequenceEqual(second.contiguous().bytes);
}
