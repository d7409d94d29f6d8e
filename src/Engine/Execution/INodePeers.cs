using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>Connects the ranks of this process with those of other processes.</summary>
internal interface INodePeers : IMemoryAgreement
{
    /// <summary>
    /// Whether the other processes are on this host, so that NCCL always connects the GPUs. Between hosts NCCL does so only if
    /// <see cref="Ops.Cuda.Ranks.GpuRanks.BetweenNodesVariable"/> asks for it.
    /// </summary>
    bool ConnectsGpus { get; }

    /// <summary>The link between a rank of this process and a rank of another process, in neighbouring stages.</summary>
    /// <param name="from">The rank that sends.</param>
    /// <param name="to">The rank that receives.</param>
    IPipelineLink Link(int from, int to);

    /// <summary>A value that all nodes share: the first node creates it and sends it to the others, which wait for it.</summary>
    /// <param name="key">The value's purpose; each node asks once for it.</param>
    /// <param name="create">Creates the value; called on the first node alone.</param>
    /// <exception cref="RankFailedException">The replica was aborted.</exception>
    byte[] Share(string key, Func<byte[]> create);
}
