using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Engine;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>The addresses of experts' matrices, in the host's memory.</summary>
[Collection(nameof(RunsAlone))]
public sealed class ExpertTablesTests
{
    public ExpertTablesTests() => TorchLibrary.EnsureLoaded();

    [Fact]
    public void Tables_name_every_expert_and_are_gone_with_their_owner()
    {
        var ops = new TorchOps(CPU);
        foreach (var kind in (ExpertOpsTests.Kind[])[ExpertOpsTests.Kind.Unquantized, ExpertOpsTests.Kind.Blocks])
        {
            using var experts = new ExpertOpsTests.Experts(ops, kind, ScalarType.BFloat16, 2, 3, 64, 32);
            var tables = ExpertTables.TryCreate(experts, CPU)!;
            Assert.Equal([2, 3, 4], tables.Down.Data.data<long>().ToArray().Select(address => Expert(experts, address)));
            tables.Dispose();
            Assert.All(
                (Tensor?[])[tables.GateUp.Data, tables.GateUp.Scales, tables.GateUp.ScaleRows, tables.Down.Data, tables.Down.Scales, tables.Down.ScaleRows],
                table => Assert.True(table is null || table.IsInvalid));
        }
    }

    // The table of gate and up already exists when it turns out that the down matrices cannot have one.
    [Fact]
    public void Experts_of_which_the_kernels_take_only_one_matrix_leave_no_table_behind()
    {
        using var experts = new ExpertOpsTests.Experts(new TorchOps(CPU), ExpertOpsTests.Kind.Unquantized, ScalarType.BFloat16, 0, 2, 64, 36);
        GC.Collect();
        GC.WaitForPendingFinalizers(); // finalizers of other tests
        var before = Tensor.TotalCount;
        Assert.Null(ExpertTables.TryCreate(experts, CPU));
        Assert.Equal(before, Tensor.TotalCount);
    }

    // A rank has 32 of 256 experts; other ranks have seven of eight assignments.
    [Theory]
    [InlineData(512, 8)]
    [InlineData(2048, 16)]
    [InlineData(8192, 64)]
    public void Tiles_are_as_high_as_the_experts_of_the_layer_have_rows_wherever_these_are(int assignments, int rowsOfTile)
    {
        var all = new ExpertRows(assignments, 8, 256, assignments <= 2048, 0);
        var part = all with { Experts = 32, LayerExperts = 256 };
        Assert.Equal((rowsOfTile, rowsOfTile), (all.RowsOfTile, part.RowsOfTile));
        // Even if these experts have all assignments, they fill no more tiles.
        Assert.True(part.MaxTiles >= part.Experts - 1 + ((assignments - part.Experts + rowsOfTile) / rowsOfTile));
    }

    private static int Expert(ExpertOpsTests.Experts experts, long address) =>
        Enumerable.Range(experts.First, experts.Count).Single(expert => Address(experts.MatricesOf(expert)!.Value.Down) == address);

    private static unsafe long Address(IWeightMatrix matrix) =>
        (long)(matrix is Fp8Weight narrow ? narrow.Data : ((LinearWeight)matrix).Data).DataPointer();
}
