using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>A rank of a group that is only planned: it knows its place and computes nothing.</summary>
/// <param name="rank">Its rank.</param>
/// <param name="worldSize">Number of ranks in the group.</param>
internal sealed class PlannedCollectives(int rank, int worldSize) : ICollectives
{
    /// <inheritdoc/>
    public int Rank => rank;

    /// <inheritdoc/>
    public int WorldSize => worldSize;

    /// <inheritdoc/>
    public Tensor AllReduce(Tensor tensor) => throw new InvalidOperationException("A rank that is only planned computes nothing.");

    /// <inheritdoc/>
    public Tensor AllGather(Tensor tensor, int dimension) => AllReduce(tensor);

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
