using LocalLlm.Interop;
using LocalLlm.Parallel;
using LocalLlm.Tests.Ops;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Parallel;

/// <summary>Where each data-parallel group's rows lie among the rows of all groups.</summary>
public class GroupRowsTests
{
    [Fact]
    public void A_groups_rows_lie_behind_those_of_the_groups_before_it()
    {
        var rows = new GroupRows(1, 3);
        rows.Add(0, 2);
        rows.Add(2, 4);
        rows.Add(1, 3);
        rows.Add(0, 1);
        Assert.Equal([3, 3, 4], rows.Counts);
        Assert.Equal((3, 3), (rows.First, rows.Own));
        rows.Clear();
        Assert.Equal((0, 0), (rows.First, rows.Own));
    }

    [Theory]
    [InlineData(2, 2, 2)]
    [InlineData(1, 3, 0)]
    [InlineData(0, 0, 4)]
    public void Rows_are_joined_without_what_lies_behind_them(params int[] rows)
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        var most = rows.Max();
        Tensor Of(int group) => full([rows[group], 5], group + 1f);
        var laid = cat([.. Enumerable.Range(0, rows.Length).SelectMany(group => (Tensor[])[Of(group), full([most - rows[group], 5], float.NaN)])], 0);
        var joined = GroupRows.Join(laid, rows);
        Assert.True(joined.is_contiguous());
        Assert.True(cat([.. Enumerable.Range(0, rows.Length).Select(Of)], 0).SameAs(joined));
    }
}
