using LocalLlm.Parallel;
using Xunit;

namespace LocalLlm.Tests.Parallel;

public class ParallelPlanTests
{
    [Fact]
    public void Whatever_is_allowed_holds_every_layer_and_head_and_every_row_of_the_vocabulary()
    {
        var random = new Random(2);
        var allowed = 0;
        for (var round = 0; round < 20_000; round++)
        {
            int[] sizes = [1, 2, 3, 4, 5, 6, 8, 12, 16];
            var kvHeads = sizes[random.Next(sizes.Length)];
            var shape = new SplitShape(random.Next(1, 70), kvHeads * random.Next(1, 9), kvHeads, [new("intermediate_size", 16 * random.Next(1, 40))]);
            var request = new ParallelRequest(sizes[random.Next(sizes.Length)], sizes[random.Next(sizes.Length)], sizes[random.Next(4)]) { DevicesPerNode = random.Next(2) == 0 ? 8 : null };
            if (ParallelRules.FaultsOf(request, shape).Count > 0)
                continue;
            allowed++;
            Check(ParallelPlan.Create(request, shape), shape, vocabulary: random.Next(1, 200_000), request.DevicesPerNode);
        }

        Assert.True(allowed > 1000, $"{allowed}");
    }

    [Fact]
    public void Layers_that_are_given_are_taken_as_they_are()
    {
        var shape = new SplitShape(10, 8, 8, []);
        var plan = ParallelPlan.Create(new(2, 3, 1) { LayersPerStage = [2, 5, 3] }, shape);
        Assert.Equal([(0, 2), (2, 5), (7, 3)], Enumerable.Range(0, 3).Select(stage => plan.StageOf(stage, 10)).Select(stage => (stage.FirstLayer, stage.NumLayers)));
        Assert.Equal(4, plan.SamplingRank);
    }

    [Fact]
    public void Groups_stand_side_by_side_in_a_stage_and_each_has_a_rank_that_chooses_tokens()
    {
        var shape = new SplitShape(10, 8, 8, []) { Experts = 16 };
        var plan = ParallelPlan.Create(new(2, 3, 1) { DataParallel = 4 }, shape);
        Assert.Equal((24, 8), (plan.WorldSize, plan.RanksPerStage));
        Assert.Equal([.. Enumerable.Range(0, 24).Select(rank => (rank / 8, rank / 2 % 4, rank % 2))], plan.Ranks.Select(place => (place.Stage, place.Group, place.TensorRank)));
        Assert.Equal([16, 18, 20, 22], Enumerable.Range(0, 4).Select(plan.SamplingRankOf));
    }

    private static void Check(ParallelPlan plan, SplitShape shape, int vocabulary, int? perNode)
    {
        var (tensor, pipeline) = (plan.TensorParallel, plan.PipelineParallel);
        Assert.Equal(Enumerable.Range(0, shape.Layers), Enumerable.Range(0, pipeline).SelectMany(stage => Held(plan.StageOf(stage, shape.Layers))));
        Assert.Equal(tensor * pipeline, plan.Ranks.Distinct().Count());
        foreach (var group in plan.Ranks.GroupBy(place => place.Stage))
        {
            // A group stays inside its node, and every head is held by one rank, or by as many ranks as every other head.
            Assert.Single(group.Select(place => place.Node).Distinct());
            Assert.Equal(Enumerable.Range(0, shape.Heads), group.SelectMany(place => Range(ShardRange.At(shape.Heads, place.TensorRank, tensor))));
            var held = group.SelectMany(place => Range(ShardRange.KvHeadsAt(shape.KvHeads, place.TensorRank, tensor))).GroupBy(head => head).ToArray();
            Assert.Equal(shape.KvHeads, held.Length);
            Assert.Single(held.Select(head => head.Count()).Distinct());
            Assert.Equal(shape.KvHeadsPerRank(tensor) * tensor, held.Sum(head => head.Count()));
        }

        Assert.All(plan.Ranks.GroupBy(place => place.Node), node => Assert.Equal(Enumerable.Range(0, plan.RanksPerNode), node.Select(place => place.LocalIndex)));
        Assert.True(perNode is null || plan.RanksPerNode <= perNode);
        var share = ShardRange.VocabularyShare(vocabulary, tensor);
        Assert.True(tensor * share >= vocabulary && share <= ((vocabulary + tensor - 1) / tensor) + 7);
    }

    private static IEnumerable<int> Held(PipelineStage stage) => Enumerable.Range(stage.FirstLayer, stage.NumLayers);

    private static IEnumerable<int> Range(ShardRange range) => Enumerable.Range((int)range.Start, (int)range.Length);
}
