using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Latent attention of few rows on Hopper. The blocks that share a row's positions form a cluster and join their results through each
/// other's shared memory, without a second launch (<c>latent_cluster.cu</c>).
/// </summary>
internal sealed class LatentClusters(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, StepInputs inputs)
{
    /// <summary>
    /// Number of positions of a row that justify another cluster. Its results are joined with those of the first through memory.
    /// </summary>
    public const int MinShare = 1024;

    /// <summary>
    /// Max context with many heads: every 16 heads read every position again, which beyond this context takes longer than a kernel for all
    /// heads.
    /// </summary>
    public const int MaxContextOfManyHeads = 8192;

    private const int ManyHeads = 64;
    private const int MaxRank = 512; // results of wider ones do not fit in registers
    private const int MaxSharedBytes = 227 << 10;
    // The best on an H200, the largest clusters first; then the same for 8-bit floats.
    private static readonly LatentTiling[] s_cuts = [new(32, 4, 1) { Cluster = 16 }, new(32, 2, 1) { Cluster = 8, Parts = 2 }];
    private static readonly LatentTiling[] s_float8Cuts =
        [new(32, 4, 1) { Cluster = 16, Parts = 2 }, new(32, 4, 1) { Cluster = 8, Parts = 2 }];
    private readonly Dictionary<string, int> _atOnce = [];

    /// <summary>Whether clusters are never used; for measurements.</summary>
    internal bool IsOff { get; set; }

    /// <summary>
    /// The possible sizes of clusters, the best first. Each row and block of heads has a cluster, and all clusters run at once. Depends
    /// only on values that a recorded step has in common with later ones.
    /// </summary>
    /// <param name="rows">Rows of the step.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="longestContext">Max number of positions that a row sees, or will see if the step is recorded.</param>
    /// <param name="multiprocessors">Number of multiprocessors of the card.</param>
    /// <returns>Empty: there are too many rows, or many heads with too long contexts.</returns>
    public static IEnumerable<int> Sizes(int rows, int heads, int longestContext, int multiprocessors) =>
        heads >= ManyHeads && longestContext > MaxContextOfManyHeads
            ? [] : s_cuts.Select(cut => cut.Cluster).Where(size => RowBlocks(rows, heads) * size <= multiprocessors);

    /// <summary>Max number of clusters for a row and a block of heads.</summary>
    /// <param name="rows">Rows of the step.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="longestContext">As in <see cref="Sizes"/>; the card uses as many as a row's own context justifies.</param>
    /// <param name="atOnce">Number of clusters that the card runs at once; more would take a second round.</param>
    public static int ClustersOfRow(int rows, int heads, int longestContext, int atOnce) =>
        Math.Max(1, Math.Min(atOnce / RowBlocks(rows, heads), (longestContext + MinShare - 1) / MinShare));

    /// <summary>Computes attention if clusters are the best way. The parameters are those of <c>latent_attention.cu</c>.</summary>
    /// <returns>False: nothing was done.</returns>
    public bool TryAttend(
        Tensor absorbed, Tensor queries, KvLayerCache cache, Tensor mixed, ulong contextLengths, ulong tableStarts, int longestContext,
        LatentAttentionShape shape)
    {
        if (IsOff || device.ComputeCapability != CudaDevice.Hopper || shape.Rank > MaxRank)
            return false;
        var (rows, isFloat8) = ((int)queries.size(0), cache.IsScaled);
        foreach (var size in Sizes(rows, shape.Heads, longestContext, device.Multiprocessors))
        {
            var cut = Array.Find(isFloat8 ? s_float8Cuts : s_cuts, cut => cut.Cluster == size);
            var sharedBytes = cut.SharedBytes(shape, isFloat8);
            if (sharedBytes > MaxSharedBytes)
                return false;
            var defines = cut.Defines(queries.dtype, shape);
            var kernel = kernels.Get(isFloat8 ? CudaLatentOps.Float8Source : CudaLatentOps.AttentionSource, "latentAttention", defines);
            var key = isFloat8 ? $"{defines} 8" : defines;
            if (!_atOnce.TryGetValue(key, out var atOnce))
                _atOnce.Add(key, atOnce = kernel.ClustersAtOnce(size, cut.Threads, sharedBytes));
            var headBlocks = RowBlocks(1, shape.Heads);
            if (rows * headBlocks > atOnce)
                continue;
            var clusters = ClustersOfRow(rows, shape.Heads, longestContext, atOnce);
            using var partials = clusters > 1 ? Partials(shape.Rank) : null;
            using var counters = clusters > 1 ? Counters() : null;
            kernel.Launch(
                (rows, headBlocks, clusters * size),
                cut.Threads,
                [
                    absorbed, queries, cache.Tensors[0], isFloat8 ? cache.Scales[0] : null, mixed, partials, contextLengths,
                    tableStarts, inputs.BlockTables, shape.Heads, (float)(shape.Scale * LatentTiling.Log2E), counters, MinShare,
                ],
                sharedBytes);
            return true;
        }

        return false;
    }

    // Always the max size of any step, so the buffers never move: each multiprocessor has at least one block.
    private Tensor Partials(int width) =>
        workspace.Rent(WorkspaceSlot.Partials, 2L * device.Multiprocessors * LatentTiling.HeadsOfBlock, width + 2, ScalarType.Float32);

    private Tensor Counters() => workspace.Rent(WorkspaceSlot.Counters, device.Multiprocessors, 1, ScalarType.Int32);

    private static int RowBlocks(int rows, int heads) => rows * ((heads + LatentTiling.HeadsOfBlock - 1) / LatentTiling.HeadsOfBlock);
}
