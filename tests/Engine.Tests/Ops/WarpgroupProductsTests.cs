using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares products on warpgroups with those of the same values in float64.</summary>
public sealed class WarpgroupProductsTests : IDisposable
{
    private const double MaxError = 3e-3;

    private readonly CudaOps _cuda;
    private readonly DisposeScope _scope;

    public WarpgroupProductsTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        _cuda = new(0);
        if (_cuda.Card.ComputeCapability != CudaDevice.Hopper)
            Assert.Skip("not a Hopper card");
        _scope = NewDisposeScope();
        manual_seed(5);
    }

    // Rows, inputs, outputs, rows of a block, its columns, inputs of the first block that are not in the slice.
    public static TheoryData<int, int, int, int, int, int> Shapes => new()
    {
        { 1, 7168, 2176, 128, 128, 0 }, { 3, 1536, 3072, 128, 128, 0 }, { 8, 128, 16, 128, 128, 0 }, { 9, 512, 7168, 128, 128, 0 }, { 30, 2048, 130, 128, 128, 0 },
        { 64, 304, 200, 128, 128, 0 }, { 128, 512, 320, 1, Fp8Grid.Whole, 0 }, { 129, 256, 64, 128, 128, 0 }, { 17, 400, 131, 64, 256, 128 },
        { 300, 1040, 700, 128, 128, 0 }, { 1000, 384, 512, 16, 384, 0 },
    };

    // Tokens, experts, experts per token, hidden, width: few and many rows for an expert, some with more than a tile.
    public static TheoryData<int, int, int, int, int> ExpertShapes => new()
    {
        { 1, 8, 2, 128, 64 }, { 1, 64, 6, 256, 96 }, { 17, 6, 2, 128, 64 }, { 64, 4, 2, 96, 160 }, { 200, 64, 6, 64, 80 }, { 600, 16, 4, 384, 48 }, { 900, 5, 2, 256, 272 },
    };

    public void Dispose()
    {
        _scope?.Dispose();
        _cuda?.Dispose();
    }

    [Theory]
    [InlineData(1, 7168)]
    [InlineData(3, 48)]
    [InlineData(40, 1040)]
    public void Quantised_rows_are_within_half_a_step_of_the_values(int rows, int inputs)
    {
        foreach (var type in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
        {
            // Rows may be strided, and a block may hold nothing but zeros.
            var all = randn(rows, inputs + 8).to(type);
            all[0].narrow(0, 0, Math.Min(inputs, WarpgroupTiling.ChunkBytes)).zero_();
            var x = all.narrow(1, 0, inputs);
            var values = Values(_cuda.Products.Quantise(all.cuda().narrow(1, 0, inputs)), inputs);
            var wanted = x.to(float64);
            var top = wanted.abs().max(-1).values.unsqueeze(1);
            // With three mantissa bits, half a step is a sixteenth of the value. Below the smallest normal number, steps are 2^-9 where the
            // largest value is 448.
            Assert.True(((values - wanted).abs() <= (wanted.abs() / 16) + (top / 448 / 1024) + 1e-12).all().item<bool>());
        }
    }

    // Widths that one block of threads takes in one round and in several, and that end within a chunk.
    [Theory]
    [InlineData(1, 7168)]
    [InlineData(3, 48)]
    [InlineData(300, 1536)]
    [InlineData(5, 18432)]
    public void Rows_are_normalised_and_quantised_as_by_one_after_the_other(int rows, int inputs)
    {
        foreach (var type in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
        {
            var x = randn(rows, inputs + 8).to(type).cuda().narrow(1, 0, inputs);
            var weight = (1 + (0.2 * randn(inputs))).to(type).cuda();
            using var normed = full([rows, inputs], float.NaN, type, _cuda.Device);
            var got = Values(_cuda.Products.TryQuantiseNormed(x, weight, 1e-6f, normed)!.Value, inputs);
            AssertNear(_cuda.RmsNorm(x, weight, 1e-6f).cpu().to(float64), normed, $"{type}: the norm");
            Assert.True(got.eq(Values(_cuda.Products.Quantise(normed), inputs)).all().item<bool>(), $"{type}: what is quantised");
        }
    }

    [Theory]
    [InlineData(1, 7168, 256)]
    [InlineData(9, 512, 96)]
    [InlineData(64, 256, 130)]
    [InlineData(128, 2048, 64)]
    public void Gated_products_and_sums_are_those_of_their_parts(int rows, int inputs, int width)
    {
        var type = ScalarType.BFloat16;
        var ops = _cuda.Features.Fp8!;
        var (bytes, scales, grid) = Fp8OpsTests.Matrix(inputs, 2 * width, 128, 128, 0);
        var matrix = TorchFp8Ops.Values(bytes, scales, grid, ScalarType.Float32).to(float64);
        using var packed = ops.Pack(bytes, scales, grid, null, LinearRole.GateUp);
        var x = (randn(rows, inputs) / Math.Sqrt(inputs)).to(type).cuda();
        var weight = (1 + (0.2 * randn(inputs))).to(type).cuda();
        var product = Values(_cuda.Products.Quantise(_cuda.RmsNorm(x, weight, 1e-6f)), inputs).matmul(matrix.t());
        var gated = nn.functional.silu(product.narrow(1, 0, width)) * product.narrow(1, width, width);
        AssertNear(gated, ops.TryLinearGated(x, weight, 1e-6f, packed)!, "gate and up");
        AssertNear(product, ops.TryLinearNormed(x, weight, 1e-6f, packed)!, "normalised");

        var residual = randn(rows, 2 * width).to(type);
        var sum = residual.cuda();
        Assert.True(ops.TryAddLinear(sum, x, packed));
        AssertNear(residual.to(float64) + Values(_cuda.Products.Quantise(x), inputs).matmul(matrix.t()), sum, "sum");
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Products_are_near_to_the_same_values_in_float64(int rows, int inFeatures, int outFeatures, int blockRows, int blockColumns, int offset)
    {
        var (bytes, scales, grid) = Fp8OpsTests.Matrix(inFeatures, outFeatures, blockRows, blockColumns, offset);
        var values = TorchFp8Ops.Values(bytes, scales, grid, ScalarType.Float32).to(float64);
        var scaleRows = tensor(grid.ScaleRows).cuda();
        foreach (var type in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
        {
            var x = (randn(rows, inFeatures) / Math.Sqrt(inFeatures)).to(type);
            foreach (var bias in (Tensor?[])[null, randn(outFeatures).to(type)])
            {
                using var packed = _cuda.Features.Fp8!.Pack(bytes, scales, grid, bias, LinearRole.Other);
                var quantised = _cuda.Products.Quantise(x.cuda());
                var expected = Values(quantised, inFeatures).matmul(values.t());
                if (bias is not null)
                    expected = expected.add(bias.to(float64));
                var chosen = WarpgroupTiling.Of(rows, outFeatures, inFeatures, 1, fp8: true, _cuda.Card.Multiprocessors);
                foreach (var cut in (WarpgroupTiling[])[chosen, chosen with { Groups = 2, Deep = 1, Stages = 3, Splits = 1 }, chosen with { Stages = 3, Splits = 4 }])
                {
                    using var y = full([rows, outFeatures], float.NaN, type, _cuda.Device);
                    _cuda.Products.Multiply(quantised, packed, scaleRows, y, cut);
                    AssertNear(expected, y, $"{type}, {cut}");
                }
            }
        }
    }

    // libtorch's own product, where available, and ours give the same results for a layer.
    [Theory]
    [InlineData(1, 512)]
    [InlineData(65, 512)]
    [InlineData(300, 512)]
    [InlineData(70, 256)]
    [InlineData(70, 384)]
    public void Layers_quantise_their_rows_for_any_number_of_them(int rows, int inputs)
    {
        var (bytes, scales, grid) = Fp8OpsTests.Matrix(inputs, 384, 128, 128, 0);
        using var packed = _cuda.Features.Fp8!.Pack(bytes, scales, grid, null, LinearRole.Other);
        Assert.Equal(1, _cuda.Features.Fp8!.Prepare(ScalarType.BFloat16)!.Quantised);
        var x = randn(rows, inputs).to(ScalarType.BFloat16).cuda();
        var expected = Values(_cuda.Products.Quantise(x), inputs).matmul(TorchFp8Ops.Values(bytes, scales, grid, ScalarType.Float32).to(float64).t());
        AssertNear(expected, _cuda.Features.Fp8!.Linear(x, packed), $"{rows} rows of {inputs}");
    }

    [Theory]
    [MemberData(nameof(ExpertShapes))]
    public void Products_of_experts_are_near_to_the_same_values_in_float64(int tokens, int count, int perToken, int hidden, int width)
    {
        foreach (var kind in (ExpertOpsTests.Kind[])[ExpertOpsTests.Kind.Unquantized, ExpertOpsTests.Kind.Blocks])
        {
            using var experts = new ExpertOpsTests.Experts(_cuda, kind, ScalarType.BFloat16, 0, count, hidden, width);
            using var tables = ExpertTables.TryCreate(experts, _cuda.Device)!;
            var ids = ExpertOpsTests.Choose(tokens, count, perToken).Ids.to(ScalarType.Int32).data<int>().ToArray();
            using var sorted = SortedExperts.Of(ids, count, perToken, _cuda.Device);
            var rows = sorted.Rows;

            var (x, xValues) = Input(randn(tokens, hidden).to(ScalarType.BFloat16).cuda(), kind);
            using var inner = full([ids.Length, width], float.NaN, ScalarType.BFloat16, _cuda.Device);
            Multiply(x, tables.GateUp, inner, rows, TokenPermutation.ToExperts);
            int[] order = [.. Enumerable.Range(0, ids.Length).OrderBy(i => ids[i])];
            AssertNear(stack([.. order.Select(i => Gated(xValues[i / perToken], Of(experts, ids[i]).GateUp, width))]), inner, $"{kind}: gate and up");

            var (innerRows, innerValues) = Input(inner, kind);
            using var results = full([ids.Length, hidden], float.NaN, ScalarType.BFloat16, _cuda.Device);
            Multiply(innerRows, tables.Down, results, rows, TokenPermutation.ToTokens);
            int[] places = [.. order.Select((assignment, place) => (assignment, place)).OrderBy(pair => pair.assignment).Select(pair => pair.place)];
            AssertNear(stack([.. ids.Select((id, i) => ValuesOf(Of(experts, id).Down).matmul(innerValues[places[i]]))]), results, $"{kind}: down");
        }
    }

    // More tiles than a multiprocessor has, and fewer; rows, outputs and blocks that do not fill a tile.
    [Theory]
    [InlineData(64, 128, 128, 128)]
    [InlineData(129, 256, 72, 64)]
    [InlineData(300, 384, 1000, 128)]
    [InlineData(2111, 1536, 2112, 128)]
    [InlineData(4096, 512, 4096, 128)]
    public void Products_of_many_rows_are_near_to_the_same_values_in_float64(int rows, int inFeatures, int outFeatures, int blockRows)
    {
        var grid = new Fp8Grid([.. Enumerable.Range(0, outFeatures).Select(row => (outFeatures - 1) / blockRows - row / blockRows)], 128, 0);
        var bytes = randint(0, 0x38, [outFeatures, inFeatures], ScalarType.Byte).add_(randint(0, 2, [outFeatures, inFeatures], ScalarType.Byte) * 128);
        var scales = rand(grid.ScaleRows.Max() + 1, inFeatures / 128) + 0.1f;
        var values = TorchFp8Ops.Values(bytes, scales, grid, ScalarType.Float32).to(float64);
        var scaleRows = tensor(grid.ScaleRows).cuda();
        foreach (var type in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
        {
            // Rows may be strided.
            var x = (randn(rows, inFeatures + 8) / Math.Sqrt(inFeatures)).to(type).cuda().narrow(1, 0, inFeatures);
            var expected = Values(_cuda.Products.Quantise(x), inFeatures).matmul(values.t());
            foreach (var bias in (Tensor?[])[null, randn(outFeatures).to(type)])
            {
                using var packed = _cuda.Features.Fp8!.Pack(bytes, scales, grid, bias, LinearRole.Other);
                using var description = _cuda.Bulk.TryDescribe(packed)!;
                using var y = full([rows, outFeatures], float.NaN, type, _cuda.Device);
                using var tiled = _cuda.Bulk.Tiled(x);
                _cuda.Bulk.Multiply(tiled, packed, description, scaleRows, y);
                AssertNear(bias is null ? expected : expected.add(bias.to(float64)), y, $"{type}");
            }
        }
    }

    [Theory]
    [InlineData(64, 512, 64)]
    [InlineData(130, 256, 192)]
    [InlineData(700, 7168, 384)]
    [InlineData(2111, 384, 1088)]
    public void Gated_products_and_sums_of_many_rows_are_those_of_their_parts(int rows, int inputs, int width)
    {
        var type = ScalarType.BFloat16;
        var grid = new Fp8Grid([.. Enumerable.Range(0, 2 * width).Select(row => (((2 * width) - 1) / 64) - (row / 64))], 128, 0);
        var bytes = randint(0, 0x38, [2 * width, inputs], ScalarType.Byte).add_(randint(0, 2, [2 * width, inputs], ScalarType.Byte) * 128);
        var scales = rand(grid.ScaleRows.Max() + 1, inputs / 128) + 0.1f;
        var matrix = TorchFp8Ops.Values(bytes, scales, grid, ScalarType.Float32).to(float64);
        var bias = randn(2 * width).to(type);
        using var packed = _cuda.Features.Fp8!.Pack(bytes, scales, grid, null, LinearRole.GateUp);
        using var biased = _cuda.Features.Fp8!.Pack(bytes, scales, grid, bias, LinearRole.Other);
        using var description = _cuda.Bulk.TryDescribe(packed)!;
        Assert.True(BulkProducts.TakesGated(packed));
        Assert.False(BulkProducts.TakesGated(biased));
        var scaleRows = tensor(grid.ScaleRows).cuda();
        var x = (randn(rows, inputs + 8) / Math.Sqrt(inputs)).to(type).cuda().narrow(1, 0, inputs);
        var norm = (1 + (0.2 * randn(inputs))).to(type).cuda();
        var product = Values(_cuda.Products.Quantise(_cuda.RmsNorm(x, norm, 1e-6f)), inputs).matmul(matrix.t());
        using var y = full([rows, width], float.NaN, type, _cuda.Device);
        using (var tiled = _cuda.Bulk.TryTiledNormed(x, norm, 1e-6f)!.Value)
            _cuda.Bulk.Multiply(tiled, packed, description, scaleRows, y, gated: true);
        AssertNear(nn.functional.silu(product.narrow(1, 0, width)) * product.narrow(1, width, width), y, "gate and up");

        var residual = randn(rows, 2 * width).to(type);
        using var sum = residual.cuda();
        using (var tiled = _cuda.Bulk.Tiled(x))
            _cuda.Bulk.Multiply(tiled, biased, description, scaleRows, sum, add: true);
        AssertNear(residual.to(float64) + bias.to(float64) + Values(_cuda.Products.Quantise(x), inputs).matmul(matrix.t()), sum, "sum");
    }

    // Where libtorch's product was not tried, our own computes any number of rows.
    [Theory]
    [InlineData(129, 256, 192)]
    [InlineData(300, 7168, 64)]
    public void Layers_normalise_gate_and_add_many_rows_as_few(int rows, int inputs, int width)
    {
        var type = ScalarType.BFloat16;
        var ops = _cuda.Features.Fp8!;
        var grid = new Fp8Grid([.. Enumerable.Range(0, 2 * width).Select(row => row / 64)], 128, 0);
        var bytes = randint(0, 0x38, [2 * width, inputs], ScalarType.Byte);
        var scales = rand(grid.ScaleRows.Max() + 1, inputs / 128) + 0.1f;
        using var packed = ops.Pack(bytes, scales, grid, null, LinearRole.GateUp);
        var x = (randn(rows, inputs) / Math.Sqrt(inputs)).to(type).cuda();
        var norm = (1 + (0.2 * randn(inputs))).to(type).cuda();
        var residual = randn(rows, 2 * width).to(type);
        // The same rows, computed by the kernel for few rows.
        Tensor Few(Func<Tensor, Tensor> product) =>
            cat([.. Enumerable.Range(0, (rows + 63) / 64).Select(i => product(x.narrow(0, 64 * i, Math.Min(64, rows - (64 * i)))).cpu())]).to(float64);
        AssertNear(Few(some => ops.TryLinearGated(some, norm, 1e-6f, packed)!), ops.TryLinearGated(x, norm, 1e-6f, packed)!, "gate and up");
        AssertNear(Few(some => ops.TryLinearNormed(some, norm, 1e-6f, packed)!), ops.TryLinearNormed(x, norm, 1e-6f, packed)!, "normalised");
        var product = Few(some => ops.Linear(some, packed));
        AssertNear(product, ops.Linear(x, packed), "alone");
        var sum = residual.cuda();
        Assert.True(ops.TryAddLinear(sum, x, packed));
        AssertNear(residual.to(float64) + product, sum, "sum");
        ops.Forget(packed);
    }

    // Tokens, experts, experts per token, hidden, width. Experts have less than a tile, two or three tiles, or more than a multiprocessor
    // has at once.
    [Theory]
    [InlineData(40, 8, 2, 128, 128)]
    [InlineData(600, 16, 4, 256, 128)]
    [InlineData(900, 5, 2, 384, 256)]
    [InlineData(2000, 3, 2, 256, 384)]
    public void Products_of_experts_with_many_rows_are_near_to_the_same_values_in_float64(int tokens, int count, int perToken, int hidden, int width)
    {
        using var experts = new ExpertOpsTests.Experts(_cuda, ExpertOpsTests.Kind.Blocks, ScalarType.BFloat16, 0, count, hidden, width);
        using var tables = _cuda.Bulk.Described(ExpertTables.TryCreate(experts, _cuda.Device)!);
        // No token chooses the second expert, and every token chooses the last.
        int[] ids = [.. ExpertOpsTests.Choose(tokens, count, perToken).Ids.to(ScalarType.Int32).data<int>().ToArray()
            .Select((id, place) => place % perToken == 0 ? count - 1 : id == 1 ? 0 : id)];
        using var sorted = SortedExperts.Of(ids, count, perToken, _cuda.Device);
        using var memory = zeros(new BulkRows(sorted.Rows, 0).Length, ScalarType.Int32, _cuda.Device);
        var bulk = _cuda.Bulk.List(sorted.Rows, Address(memory), $"{KernelCompiler.TypeMacro(ScalarType.BFloat16)} EXPERTS={count} PER_TOKEN={perToken}");

        var x = randn(tokens, hidden).to(ScalarType.BFloat16).cuda();
        var xValues = Values(_cuda.Products.Quantise(x), hidden);
        using var inner = full([ids.Length, width], float.NaN, ScalarType.BFloat16, _cuda.Device);
        _cuda.Bulk.MultiplyExperts(x, tables.GateUp, inner, bulk, TokenPermutation.ToExperts);
        int[] order = [.. Enumerable.Range(0, ids.Length).OrderBy(i => ids[i])];
        AssertNear(stack([.. order.Select(i => Gated(xValues[i / perToken], Of(experts, ids[i]).GateUp, width))]), inner, "gate and up");

        var innerValues = Values(_cuda.Products.Quantise(inner), width);
        using var results = full([ids.Length, hidden], float.NaN, ScalarType.BFloat16, _cuda.Device);
        _cuda.Bulk.MultiplyExperts(inner, tables.Down, results, bulk, TokenPermutation.ToTokens);
        int[] places = [.. order.Select((assignment, place) => (assignment, place)).OrderBy(pair => pair.assignment).Select(pair => pair.place)];
        AssertNear(stack([.. ids.Select((id, i) => ValuesOf(Of(experts, id).Down).matmul(innerValues[places[i]]))]), results, "down");
    }

    private static unsafe ulong Address(Tensor memory) => (ulong)memory.DataPointer();

    // What the kernel reads, and its values in float64.
    private (object Rows, Tensor Values) Input(Tensor x, ExpertOpsTests.Kind kind)
    {
        if (kind == ExpertOpsTests.Kind.Unquantized)
            return (x, x.cpu().to(float64));
        var quantised = _cuda.Products.Quantise(x);
        return (quantised, Values(quantised, (int)x.size(1)));
    }

    private void Multiply(object x, ExpertTable table, Tensor y, ExpertRows rows, TokenPermutation direction)
    {
        if (x is QuantisedRows quantised)
            _cuda.Products.MultiplyExperts(quantised, table, y, rows, direction);
        else
            _cuda.Products.MultiplyExperts((Tensor)x, table, y, rows, direction);
    }

    private static ExpertMatrices Of(ExpertOpsTests.Experts experts, int expert) => experts.MatricesOf(expert)!.Value;

    private static Tensor Gated(Tensor x, IWeightMatrix gateUp, int width)
    {
        var both = ValuesOf(gateUp).matmul(x);
        return nn.functional.silu(both.narrow(0, 0, width)) * both.narrow(0, width, width);
    }

    private static Tensor ValuesOf(IWeightMatrix matrix)
    {
        if (matrix is LinearWeight plain)
            return plain.Data.cpu().to(float64);
        var weight = (Fp8Weight)matrix;
        return TorchFp8Ops.Values(weight.Data.cpu(), weight.Scales.cpu(), weight.Grid, ScalarType.Float32).to(float64);
    }

    // The values that the bytes and scales stand for.
    private static Tensor Values(QuantisedRows rows, int inputs)
    {
        var elements = tensor(Float8.Values.ToArray()).to(float64).index_select(0, rows.Values.cpu().reshape(-1).to(ScalarType.Int32)).view(rows.Rows, inputs);
        var scales = rows.Scales.cpu().to(float64).t().repeat_interleave(WarpgroupTiling.ChunkBytes, 1).narrow(1, 0, inputs);
        return elements * scales;
    }

    private static void AssertNear(Tensor expected, Tensor actual, string what)
    {
        var error = (actual.cpu().to(float64) - expected).norm().item<double>() / expected.norm().item<double>();
        Assert.True(error <= MaxError, $"{what}: {error}");
    }
}
