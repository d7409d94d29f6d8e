using LocalLlm.Interop;
using LocalLlm.Ops.Cuda;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>A GPU's buffers have their final size once memory was measured. These tests need no card.</summary>
public sealed class CudaWorkspaceTests
{
    private const int Multiprocessors = 132;

    [Fact]
    public void A_buffer_that_grows_after_loading_is_noted_and_one_that_was_reserved_does_not_grow()
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var workspace = new CudaWorkspace(CPU);
        workspace.Rent(WorkspaceSlot.Mixed, 2, 8, ScalarType.Float32);
        workspace.Reserve(WorkspaceSlot.Mixed, 64, ScalarType.Float32);
        workspace.Reserve(WorkspaceSlot.Keys, 4, ScalarType.Float32);
        Assert.Empty(workspace.Grown);
        workspace.Settle();
        var version = workspace.Version;

        Assert.Equal([8, 8], workspace.Rent(WorkspaceSlot.Mixed, 8, 8, ScalarType.Float32).shape);
        workspace.Reserve(WorkspaceSlot.Mixed, 63, ScalarType.Float32);
        Assert.Empty(workspace.Grown);
        workspace.Rent(WorkspaceSlot.Keys, 5, 1, ScalarType.Float32);
        Assert.Equal([WorkspaceSlot.Keys], workspace.Grown);
        Assert.Equal(version, workspace.Version); // no recorded step uses it
        workspace.Rent(WorkspaceSlot.Mixed, 1, 65, ScalarType.Float32);
        Assert.Equal([WorkspaceSlot.Keys, WorkspaceSlot.Mixed], workspace.Grown);
        Assert.Equal(version + 1, workspace.Version);
        workspace.Settle();
        Assert.Empty(workspace.Grown);
    }

    [Fact]
    public void Room_that_was_reserved_is_what_is_rented()
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var workspace = new CudaWorkspace(CPU);
        workspace.Rent(WorkspaceSlot.Mixed, 2, 2, ScalarType.Float32);
        workspace.Reserve(WorkspaceSlot.Mixed, 16, ScalarType.Float32);
        workspace.Rent(WorkspaceSlot.Mixed, 2, 2, ScalarType.Float32).fill_(3);
        Assert.Equal(12, workspace.Rent(WorkspaceSlot.Mixed, 4, 4, ScalarType.Float32).sum().item<float>());
    }

    [Fact]
    public void No_product_of_few_rows_exchanges_more_than_room_is_made_for()
    {
        foreach (var multiprocessors in (int[])[1, 84, Multiprocessors])
        {
            for (var outputs = 8; outputs <= 20_000; outputs += 56)
            {
                foreach (var inputs in (int[])[128, 2048, 7168, 18_432])
                {
                    foreach (var rows in (int[])[1, 8, 9, 64, SkinnyTiling.MaxRows])
                    {
                        var tiling = SkinnyTiling.Of(rows, outputs, inputs, 1, fp8: true, multiprocessors);
                        if (tiling.Splits == 1)
                            continue;
                        Assert.InRange((long)tiling.Splits * rows * outputs, 1, SkinnyTiling.MaxPartials(multiprocessors));
                        Assert.InRange(outputs, 1, SkinnyTiling.MaxSplitOutputs(multiprocessors));
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(8, 256)]
    [InlineData(6, 64)]
    [InlineData(2, 3)]
    public void Lists_of_fewer_assignments_never_take_more_room(int perToken, int experts)
    {
        var (order, lists) = (0, 0);
        for (var tokens = 1; tokens <= 9000; tokens++)
        {
            var rows = new ExpertRows(tokens * perToken, perToken, experts, tokens * perToken <= 2048, 0);
            var bulk = new BulkRows(rows, 0);
            Assert.InRange(order, 0, order = rows.Length);
            Assert.InRange(lists, 0, lists = bulk.Length);
            // Even the last part ends within the buffer.
            Assert.InRange(rows.Order / sizeof(int) + (ulong)rows.Assignments, 1ul, (ulong)rows.Length);
            Assert.InRange(bulk.Tiles / sizeof(int) + (2ul * (ulong)bulk.MaxTiles), 1ul, (ulong)bulk.Length);
        }
    }
}
