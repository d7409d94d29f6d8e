using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>A group of one rank: every collective is the identity.</summary>
internal sealed class SingleRankCollectives : ICollectives
{
    /// <inheritdoc/>
    public int Rank => 0;

    /// <inheritdoc/>
    public int WorldSize => 1;

    /// <inheritdoc/>
    public Tensor AllReduce(Tensor tensor) => tensor;

    /// <inheritdoc/>
    public Tensor AllGather(Tensor tensor, int dimension) => tensor;

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        // No rank waits.
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // There is nothing to free.
    }
}
