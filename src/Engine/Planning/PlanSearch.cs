using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>Searches the ways to spread a model over devices for plans that fit. Pure.</summary>
/// <param name="capacity">Estimates a plan's memory.</param>
internal sealed class PlanSearch(CapacityPlanner capacity)
{
    private const int MaxNodes = 64;

    /// <summary>The plan that fits with the fewest devices; null: none does.</summary>
    /// <param name="perNode">Devices per node.</param>
    /// <param name="nodes">Max number of nodes.</param>
    /// <param name="isUpTo">Whether nodes may use fewer devices than that, all of them the same number; false: several nodes use all of
    /// theirs.</param>
    public CapacityEstimate? Smallest(int perNode, int nodes = MaxNodes, bool isUpTo = false) =>
        Candidates(perNode, nodes, isUpTo).GroupBy(plan => plan.WorldSize).OrderBy(group => group.Key)
            .Select(group => FirstThatFits(group.OrderBy(plan => plan.Nodes).ThenByDescending(plan => plan.TensorParallel)))
            .FirstOrDefault(estimate => estimate is not null);

    /// <summary>
    /// The plan on these devices that fits and is nearest to one that does not. The number of devices counts first; null: none fits.
    /// </summary>
    /// <param name="asked">The request.</param>
    /// <param name="perNode">Devices per node.</param>
    /// <param name="nodes">Max number of nodes.</param>
    public CapacityEstimate? Nearest(ParallelRequest asked, int perNode, int nodes)
    {
        var world = asked.WorldSize;
        return Candidates(perNode, nodes).GroupBy(plan => Math.Abs(plan.WorldSize - world)).OrderBy(group => group.Key)
            .Select(group => FirstThatFits(group.OrderBy(plan => Math.Abs(plan.Nodes - asked.Nodes)).ThenByDescending(plan => plan.WorldSize)
                .ThenBy(plan => Math.Abs(plan.TensorParallel - asked.TensorParallel))))
            .FirstOrDefault(estimate => estimate is not null);
    }

    /// <summary>
    /// The plan that uses all of these devices, to show why it does not fit; null: the devices cannot be used so that each stage has its
    /// own kind.
    /// </summary>
    public ParallelPlan? Largest(int perNode, int nodes) =>
        Candidates(perNode, nodes).OrderByDescending(plan => plan.WorldSize).ThenByDescending(plan => plan.TensorParallel).FirstOrDefault();

    // Among plans with the same number of devices, one that fits as requested is better than a tight one.
    private CapacityEstimate? FirstThatFits(IEnumerable<ParallelPlan> plans)
    {
        CapacityEstimate? tight = null;
        foreach (var plan in plans)
        {
            if (capacity.IsHopeless(plan) || capacity.Best(plan) is not { Fits: true } estimate)
                continue;
            if (!estimate.IsTight)
                return estimate;
            tight ??= estimate;
        }

        return tight;
    }

    // Several nodes use all their devices: leaving some idle saves nothing. If stages have their own kinds of devices, there are as many
    // stages as kinds.
    private IEnumerable<ParallelPlan> Candidates(int perNode, int nodes, bool isUpTo = false)
    {
        var sizes = capacity.Shape.Split.TensorParallelSizes().TakeWhile(size => size <= perNode).ToArray();
        return from node in Enumerable.Range(1, Math.Min(nodes, MaxNodes))
               from each in node == 1 || isUpTo ? Enumerable.Range(1, perNode) : [perNode]
               from tensor in sizes
               where each % tensor == 0
               let stages = node * each / tensor
               where stages <= capacity.Shape.Layers && (!capacity.IsMixed || stages == capacity.StageCards)
               let plan = new ParallelPlan(tensor, stages, node)
               where capacity.Allows(plan)
               select plan;
    }
}
