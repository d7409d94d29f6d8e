using LocalLlm.Parallel;
using TorchSharp;
using Xunit;

namespace LocalLlm.Tests.Parallel;

public class ShardRangeTests
{
    [Theory]
    [InlineData(12, 1)]
    [InlineData(12, 3)]
    [InlineData(12, 4)]
    public void The_ranks_of_a_group_hold_all_of_a_dimension_once(int size, int ranks)
    {
        var held = Enumerable.Range(0, ranks).Select(rank => ShardRange.Of(size, new Group(rank, ranks), "The size"))
            .SelectMany(range => Enumerable.Range((int)range.Start, (int)range.Length));
        Assert.Equal(Enumerable.Range(0, size), held);
    }

    [Fact]
    public void A_dimension_that_does_not_divide_is_refused_with_both_numbers()
    {
        var refusal = Assert.Throws<EngineException>(() => ShardRange.Of(10, new Group(0, 4), "The hidden size"));
        Assert.Equal((EngineErrorKind.InvalidOptions, "tensor_parallel_size"), (refusal.Kind, refusal.Parameter));
        Assert.Contains("The hidden size (10) is not divisible by the tensor parallel size (4)", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ranks_share_a_head_where_there_are_more_ranks_than_heads()
    {
        var ranges = Enumerable.Range(0, 8).Select(rank => ShardRange.OfKvHeads(2, new Group(rank, 8)));
        Assert.Equal([0, 0, 0, 0, 1, 1, 1, 1], ranges.Select(range => range.Start));
        Assert.All(ranges, range => Assert.Equal(1, range.Length));
        Assert.Equal(EngineErrorKind.InvalidOptions, Assert.Throws<EngineException>(() => ShardRange.OfKvHeads(3, new Group(0, 8))).Kind);
    }

    [Theory]
    [InlineData(4072, 2)]
    [InlineData(1001, 4)]
    [InlineData(17, 2)]
    public void A_vocabulary_of_any_size_is_held_once_and_only_the_last_share_is_shorter(int size, int ranks)
    {
        var ranges = Enumerable.Range(0, ranks).Select(rank => ShardRange.OfVocabulary(size, new Group(rank, ranks))).ToArray();
        Assert.Equal(Enumerable.Range(0, size), ranges.SelectMany(range => Enumerable.Range((int)range.Start, (int)range.Length)));
        Assert.All(ranges[..^1], range => Assert.Equal(ShardRange.VocabularyShare(size, new Group(0, ranks)), range.Length));
        Assert.InRange(ranges[^1].Length, 1, ranges[0].Length);
    }

    [Fact]
    public void A_vocabulary_that_would_leave_ranks_without_rows_is_refused() =>
        Assert.Equal("tensor_parallel_size", Assert.Throws<EngineException>(() => ShardRange.OfVocabulary(17, new Group(0, 4))).Parameter);

    [Fact]
    public void A_group_of_one_rank_changes_nothing()
    {
        using var tensor = torch.ones(3);
        var group = new SingleRankCollectives();
        Assert.Same(tensor, group.AllReduce(tensor));
        Assert.Same(tensor, group.AllGather(tensor, 0));
        Assert.Equal((0, 1), (group.Rank, group.WorldSize));
    }

    private sealed record Group(int Rank, int WorldSize) : ICollectives
    {
        public torch.Tensor AllReduce(torch.Tensor tensor) => throw new NotSupportedException();

        public torch.Tensor AllGather(torch.Tensor tensor, int dimension) => throw new NotSupportedException();

        public void Abort(Exception reason) => throw new NotSupportedException();

        public void Dispose()
        {
            // There is nothing to release.
        }
    }
}
