using LocalLlm.Parallel;
using Xunit;

namespace LocalLlm.Tests.Parallel;

public class StageBalanceTests
{
    [Fact]
    public void No_other_split_has_an_emptier_fullest_stage()
    {
        var random = new Random(1);
        for (var round = 0; round < 300; round++)
        {
            var layers = Enumerable.Range(0, random.Next(1, 9)).Select(_ => (long)random.Next(1, 50)).ToArray();
            var (first, last) = (random.Next(0, 120), random.Next(0, 120));
            var capacities = Enumerable.Range(0, random.Next(1, layers.Length + 1)).Select(_ => random.Next(3) == 0 ? 2.0 : 1.0).ToArray();
            var split = StageBalance.Split(layers, first, last, capacities);
            Assert.Equal(capacities.Length, split.Length);
            Assert.Equal(layers.Length, split.Sum());
            Assert.All(split, count => Assert.True(count >= 1));
            Assert.Equal(All(layers.Length, capacities.Length).Min(Fullest), Fullest(split), 9);

            double Fullest(int[] counts)
            {
                var from = 0;
                return counts.Select((count, stage) =>
                {
                    var bytes = layers.Skip(from).Take(count).Sum() + (stage == 0 ? first : 0) + (stage == counts.Length - 1 ? last : 0);
                    from += count;
                    return bytes / capacities[stage];
                }).Max();
            }
        }
    }

    [Fact]
    public void Equal_layers_are_spread_evenly() =>
        Assert.Equal([8, 8, 8, 8], StageBalance.Split([.. Enumerable.Repeat(7L, 32)], 0, 0, [1, 1, 1, 1]));

    [Fact]
    public void The_stages_of_embedding_and_head_have_fewer_layers()
    {
        // The proportions of the 32 B model: the embedding and the head weigh as much as 1.6 layers each.
        var split = StageBalance.Split([.. Enumerable.Repeat(10L, 64)], 16, 16, [1, 1, 1, 1, 1]);
        Assert.Equal([12, 12], new[] { split[0], split[4] });
        Assert.All(split[1..4], count => Assert.InRange(count, 13, 14));
    }

    [Fact]
    public void A_larger_device_takes_more_layers() => Assert.Equal([8, 16], StageBalance.Split([.. Enumerable.Repeat(7L, 24)], 0, 0, [16, 32]));

    [Fact]
    public void More_stages_than_layers_are_no_split() => Assert.Throws<ArgumentException>(() => StageBalance.Split([1], 0, 0, [1, 1]));

    private static IEnumerable<int[]> All(int layers, int stages) => stages == 1
        ? [[layers]]
        : Enumerable.Range(1, layers - stages + 1).SelectMany(count => All(layers - count, stages - 1).Select(rest => (int[])[count, .. rest]));
}
