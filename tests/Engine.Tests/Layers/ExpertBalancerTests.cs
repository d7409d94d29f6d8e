using LocalLlm.Ops;
using LocalLlm.Layers;
using Xunit;

namespace LocalLlm.Tests.Layers;

/// <summary>The experts' loads decide how many copies of each expert exist, and where.</summary>
public class ExpertBalancerTests
{
    [Fact]
    public void Whatever_the_loads_every_expert_is_held_and_no_rank_holds_one_twice()
    {
        var random = new Random(5);
        for (var round = 0; round < 3_000; round++)
        {
            var ranks = random.Next(1, 9);
            var experts = random.Next(1, 40);
            var places = random.Next((experts + ranks - 1) / ranks, experts + 1);
            var loads = Enumerable.Range(0, experts).Select(_ => random.Next(4) == 0 ? 0 : (long)Math.Pow(10, 6 * random.NextDouble())).ToArray();
            var placement = ExpertBalancer.Choose(loads, ranks, places);
            Assert.All(placement.Held, held => Assert.Equal((places, places), (held.Count, held.Distinct().Count())));
            Assert.Equal(Enumerable.Range(0, experts), placement.Held.SelectMany(held => held).Distinct().Order());
            Assert.Equal(placement.Held, ExpertBalancer.Choose(loads, ranks, places).Held);
        }
    }

    [Theory]
    [InlineData("90 132 40 61 104 165 39 4 73 56 183 86", 4, 4, "1 2 1 1 2 2 1 1 1 1 2 1")]
    [InlineData("100 1 1 1", 4, 2, "4 2 1 1")] // no more copies than ranks; the next copy goes to the first of the others
    [InlineData("0 0 0 0 0 0", 2, 4, "2 2 1 1 1 1")] // nothing measured
    [InlineData("8 4 4", 3, 1, "1 1 1")] // nothing redundant
    public void The_expert_with_the_most_tokens_a_copy_gets_the_next_copy(string loads, int ranks, int places, string copies)
    {
        var numbers = Numbers(loads);
        var placement = ExpertBalancer.Choose(numbers, ranks, places);
        Assert.Equal(Numbers(copies), Enumerable.Range(0, numbers.Length).Select(expert => (long)placement.RanksOf(expert).Length));
    }

    // The last number bounds the busiest rank's load. No placement can spread a load better than its largest part.
    [Theory]
    [InlineData("100 100 1 1 1 1", 2, 3, 102)] // the two busy experts apart, each with two of the others
    [InlineData("100 50 50 100 50 50", 2, 3, 200)]
    [InlineData("600 10 10 10 10 10", 2, 4, 325)] // the busiest expert and the first of the others on both ranks
    [InlineData("90 132 40 61 104 165 39 4 73 56 183 86", 4, 4, 270)] // 1,033 tokens: 258.25 each at best
    public void Ranks_compute_about_as_much(string loads, int ranks, int places, long busiest)
    {
        var numbers = Numbers(loads);
        var ofRanks = new long[ranks];
        ExpertBalancer.Choose(numbers, ranks, places).AddLoads(expert => (int)numbers[expert], ofRanks);
        Assert.Equal(numbers.Sum(), ofRanks.Sum());
        Assert.InRange(ofRanks.Max(), (numbers.Sum() + ranks - 1) / ranks, busiest);
    }

    [Fact]
    public void Copies_take_the_tokens_of_an_expert_in_turn_and_each_once()
    {
        var placement = new ExpertPlacement(3, [[0, 1], [1, 2], [1, 2]]);
        Assert.Equal([(0, 3), (1, 3), (2, 3)], Enumerable.Range(0, 3).Select(rank => placement.ShareOf(1, rank)));
        Assert.Equal([(0, 2), (1, 2)], Enumerable.Range(1, 2).Select(rank => placement.ShareOf(2, rank)));
        var loads = new long[3];
        placement.AddLoads(expert => expert == 1 ? 7 : expert, loads);
        Assert.Equal([3, 2 + 1, 2 + 1], loads);
        Assert.Throws<ArgumentException>(() => new ExpertPlacement(4, [[0, 1], [1, 2]]));
    }

    [Fact]
    public void A_device_knows_who_holds_an_expert_and_in_which_places_its_own_rank_has_it()
    {
        var placement = new ExpertPlacement(3, [[0, 1], [1, 2], [1, 2]]);
        Assert.Equal([1, 0, 1, 0, 0, 0, 0, /**/ 3, 0, 0, 1, -1, 2, -1, /**/ 2, 1, -1, 2, -1, 0, 0], placement.TableOf(0, [1, 0]));
        Assert.Equal([1, 0, -1, 0, 0, 0, 0, /**/ 3, 0, -1, 1, -1, 2, 0, /**/ 2, 1, -1, 2, 1, 0, 0], placement.TableOf(2, [1, 2]));
    }

    [Fact]
    public void Every_nth_of_an_experts_tokens_is_taken_from_the_first_on()
    {
        LocalLlm.Interop.TorchLibrary.EnsureLoaded();
        var groups = new ExpertGroups(3);
        // Tokens 0 to 4 choose two experts each.
        using var ids = TorchSharp.torch.tensor(new long[] { 1, 0, 1, 2, 2, 1, 0, 1, 1, 2 }).view(5, 2);
        groups.Fill(ids);
        Assert.Equal(5, groups.CountOf(1));
        Assert.Equal([0L, 1, 2, 3, 4], groups.Of(1, 0, 1).Tokens);
        Assert.Equal([0L, 2, 4], groups.Of(1, 0, 2).Tokens);
        Assert.Equal([1L, 3], groups.Of(1, 1, 2).Tokens);
        Assert.Equal([2L, 7], groups.Of(1, 1, 2).Places);
        Assert.Empty(groups.Of(0, 2, 3).Tokens);
    }

    private static long[] Numbers(string text) => [.. text.Split(' ').Select(long.Parse)];

    // Reads the tables as a device does, in whatever order a rank's places are.
    [Theory]
    [InlineData(2, 4)]
    [InlineData(2, 6)]
    [InlineData(4, 3)]
    [InlineData(4, 8)]
    public void Tables_of_ranks_give_every_token_to_one_place_of_its_expert(int ranks, int places)
    {
        const int experts = 8, tokens = 24;
        var random = new Random(5);
        for (var move = 0; move < 20; move++)
        {
            var placement = ExpertBalancer.Choose([.. Enumerable.Range(0, experts).Select(_ => (long)random.Next(100))], ranks, places);
            var computed = new int[experts, tokens];
            for (var rank = 0; rank < ranks; rank++)
            {
                var held = placement.Held[rank].ToArray();
                random.Shuffle(held);
                var table = placement.TableOf(rank, held);
                var width = table.Length / experts;
                for (var expert = 0; expert < experts; expert++)
                {
                    var row = table.AsSpan(expert * width, width);
                    for (var token = 0; token < tokens; token++)
                    {
                        var copy = 1 + (2 * (token % row[0]));
                        if (row[copy] != rank)
                            continue;
                        Assert.Equal(expert, held[row[copy + 1]]);
                        computed[expert, token]++;
                    }
                }
            }

            Assert.All(computed.Cast<int>(), times => Assert.Equal(1, times));
        }
    }
}
