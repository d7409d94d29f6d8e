using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// What the ranks of one tensor-parallel group do together. Every rank calls the same methods in the same order;
/// results are tensors of the current dispose scope, or the argument itself where nothing is to be done.
/// </summary>
internal interface ICollectives
{
    /// <summary>This rank, from 0.</summary>
    int Rank { get; }

    /// <summary>Ranks in the group.</summary>
    int WorldSize { get; }

    /// <summary>Sum of every rank's tensor of one shape.</summary>
    Tensor AllReduce(Tensor tensor);

    /// <summary>Every rank's tensor, joined along <paramref name="dimension"/> in the order of the ranks.</summary>
    Tensor AllGather(Tensor tensor, int dimension);
}
