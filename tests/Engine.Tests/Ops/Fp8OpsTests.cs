using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares 8-bit float products with the plain version, and both with float32.</summary>
public sealed class Fp8OpsTests : IDisposable
{
    private readonly CpuOps _cpu = new();
    private readonly IFp8Ops _fast;
    private readonly IFp8Ops _slow = new CpuFp8Ops(multipliesBFloat16: false);
    private readonly IFp8Ops _tiles = new CpuFp8Ops(multipliesBFloat16: true); // whatever a library supports here
    private readonly IFp8Ops _plain = new TorchFp8Ops(CPU);
    private readonly DisposeScope _scope;

    public Fp8OpsTests()
    {
        TorchLibrary.EnsureLoaded();
        _scope = NewDisposeScope();
        _fast = _cpu.Features.Fp8!;
        manual_seed(7);
    }

    // Rows, inputs, outputs, the block's rows and columns, inputs of the first block that are not in the slice.
    public static TheoryData<int, int, int, int, int, int> Shapes => new()
    {
        { 1, 128, 128, 128, 128, 0 }, { 1, 1, 1, 128, 128, 127 }, { 1, 256, 768, 128, 128, 0 }, { 2, 300, 131, 128, 128, 50 }, { 4, 64, 64, 16, 16, 3 },
        { 5, 33, 31, 128, 128, 0 }, { 8, 130, 65, 32, 48, 47 }, { 13, 100, 97, 24, 17, 5 }, { 24, 511, 200, 128, 128, 1 }, { 64, 384, 640, 128, 128, 64 }, { 81, 384, 640, 128, 128, 64 }, { 300, 70, 130, 128, 65536, 9 }, { 3, 100, 70, 128, 128, 0 }, { 33, 65, 64, 16, 16, 0 },
        { 80, 300, 200, 1, Fp8Grid.Whole, 0 }, { 90, 259, 130, Fp8Grid.Whole, Fp8Grid.Whole, 0 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Products_agree_with_the_plain_version(int rows, int inFeatures, int outFeatures, int blockRows, int blockColumns, int offset)
    {
        var (bytes, scales, grid) = Matrix(inFeatures, outFeatures, blockRows, blockColumns, offset);
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            var x = randn(rows, inFeatures).to(type);
            foreach (var bias in (Tensor?[])[null, randn(outFeatures).to(type)])
            {
                using var plain = _plain.Pack(bytes, scales, grid, bias, LinearRole.Other);
                var expected = _plain.Linear(x, plain);
                foreach (var ops in (IFp8Ops[])[_fast, _slow, _tiles])
                {
                    using var packed = ops.Pack(bytes, scales, grid, bias, LinearRole.Other);
                    OpsScenarios.AssertNear(expected, ops.Linear(x, packed), type == ScalarType.Float32 ? 2e-6 : 1e-2);
                }
            }
        }
    }

    [Theory]
    [InlineData(ScalarType.Float32, 1e-6)]
    [InlineData(ScalarType.BFloat16, 3e-3)]
    public void Products_are_as_near_to_the_same_values_in_float32_as_the_type_allows(ScalarType type, double most)
    {
        var (bytes, scales, grid) = Matrix(2000, 500, 128, 128, 0, scale => (float)Math.Exp(scale * 3));
        var values = TorchFp8Ops.Values(bytes, scales, grid, ScalarType.Float32);
        using var packed = _fast.Pack(bytes, scales, grid, null, LinearRole.Other);
        foreach (var rows in (int[])[1, 7, 100])
        {
            var x = randn(rows, 2000).to(type);
            var expected = x.to(float64).matmul(values.to(float64).t());
            var error = (_fast.Linear(x, packed).to(float64) - expected).norm().item<double>() / expected.norm().item<double>();
            Assert.True(error <= most, $"{rows} rows: {error}");
        }
    }

    [Fact]
    public void A_float32_row_is_the_same_bits_alone_and_in_any_batch()
    {
        var (bytes, scales, grid) = Matrix(300, 131, 32, 64, 10);
        using var packed = _fast.Pack(bytes, scales, grid, randn(131), LinearRole.Other);
        var x = randn(290, 300);
        var all = Bits(_fast.Linear(x, packed));
        foreach (var (first, count) in ((int, int)[])[(0, 1), (1, 2), (5, 3), (100, 4), (200, 9), (289, 1)])
            Assert.Equal(all[(first * 131)..((first + count) * 131)], Bits(_fast.Linear(x.narrow(0, first, count).contiguous(), packed)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(100)]
    public void Every_element_has_its_value_in_every_kernel(int rows)
    {
        // Row o of the matrix holds byte o in column o, and the inputs are ones.
        var codes = Enumerable.Range(0, 256).Select(code => (code & 0x7F) == 0x7F ? 0 : code).ToArray();
        var bytes = zeros([256, 256], ScalarType.Byte);
        for (var code = 0; code < 256; code++)
            bytes[code, code] = codes[code];
        var grid = new Fp8Grid([.. Enumerable.Range(0, 256).Select(row => row / 128)], 128, 0);
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            foreach (var ops in (IFp8Ops[])[_fast, _tiles])
            {
                using var packed = ops.Pack(bytes, ones(2, 2), grid, null, LinearRole.Other);
                var result = ops.Linear(ones([rows, 256], type), packed).to(float32).data<float>().ToArray();
                for (var i = 0; i < result.Length; i++)
                    Assert.Equal(Float8.Values[codes[i % 256]], result[i]);
            }
        }
    }

    [Fact]
    public void Bytes_are_the_values_that_the_format_says()
    {
        Assert.Equal(0, Float8.Values[0]);
        Assert.Equal(MathF.ScaleB(1, -9), Float8.Values[1]);
        Assert.Equal(MathF.ScaleB(1, -6), Float8.Values[8]);
        Assert.Equal(1, Float8.Values[0x38]);
        Assert.Equal(448, Float8.Values[0x7E]);
        Assert.True(float.IsNaN(Float8.Values[0x7F]) && float.IsNaN(Float8.Values[0xFF]));
        for (var code = 0; code < 128; code++)
        {
            Assert.Equal(-Float8.Values[code], Float8.Values[code | 0x80]);
            Assert.Equal((byte)code, Float8.FromSingle(Float8.Values[code]));
            // The midpoint of two neighbours rounds to the even one, and anything beyond it to the nearer one.
            if (code is 0 or > 0x7E)
                continue;
            var middle = (Float8.Values[code - 1] + Float8.Values[code]) / 2;
            Assert.Equal((byte)(code % 2 == 0 ? code : code - 1), Float8.FromSingle(middle));
            Assert.Equal((byte)code, Float8.FromSingle(MathF.BitIncrement(middle)));
            Assert.Equal((byte)(code - 1), Float8.FromSingle(MathF.BitDecrement(middle)));
        }

        Assert.Equal(0xFE, Float8.FromSingle(-1e9f));
    }

    [Theory]
    [InlineData(0x7F)]
    [InlineData(0xFF)]
    public void A_NaN_is_found_wherever_it_is(int bits)
    {
        var bytes = randint(0, 0x7F, [517], ScalarType.Byte);
        Assert.False(Float8.HoldsNaN(bytes));
        foreach (var place in (int[])[0, 63, 200, 511, 516])
        {
            var copy = bytes.clone();
            copy[place] = bits;
            Assert.True(Float8.HoldsNaN(copy));
        }
    }

    public void Dispose()
    {
        _cpu.Dispose();
        (_slow as IDisposable)?.Dispose();
        (_tiles as IDisposable)?.Dispose();
        _scope.Dispose();
    }

    private static int[] Bits(Tensor tensor) => [.. tensor.data<float>().ToArray().Select(BitConverter.SingleToInt32Bits)];

    /// <summary>A random matrix whose first block lacks some inputs.</summary>
    internal static (Tensor Bytes, Tensor Scales, Fp8Grid Grid) Matrix(
        int inFeatures, int outFeatures, int blockRows, int blockColumns, int offset, Func<double, float>? scale = null)
    {
        var random = new Random(inFeatures + outFeatures);
        var elements = Enumerable.Range(0, outFeatures * inFeatures).Select(_ => Float8.FromSingle((float)(random.NextDouble() - 0.5) * 4)).ToArray();
        // The block rows are in no order, as in joined slices.
        var first = random.Next(blockRows);
        var rows = Enumerable.Range(0, outFeatures).Select(row => (row + first) / blockRows).ToArray();
        var down = rows.Max() + 1;
        rows = [.. rows.Select(row => down - 1 - row)];
        var across = (inFeatures + offset + blockColumns - 1) / blockColumns;
        var scales = Enumerable.Range(0, down * across).Select(_ => scale is null ? 0.1f + random.NextSingle() : scale(random.NextDouble())).ToArray();
        return (tensor(elements, [outFeatures, inFeatures]), tensor(scales, [down, across]), new(rows, blockColumns, offset));
    }
}
