using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>What connects the ranks of this process with those of others.</summary>
internal interface INodePeers : IMemoryAgreement
{
    /// <summary>
    /// Whether the others are on this host, so that NCCL connects the GPUs in any case; between hosts it does where
    /// <see cref="Ops.Cuda.Ranks.GpuRanks.BetweenNodesVariable"/> asks for it.
    /// </summary>
    bool ConnectsGpus { get; }

    /// <summary>The link between a rank of this process and one of another, of neighbouring stages.</summary>
    /// <param name="from">The rank that sends.</param>
    /// <param name="to">The rank that receives.</param>
    IPipelineLink Link(int from, int to);

    /// <summary>A value that all nodes have in common: the first node creates it and sends it to the others, which wait for it.</summary>
    /// <param name="key">What it is for; asked for once a node.</param>
    /// <param name="create">Called on the first node alone.</param>
    /// <exception cref="RankFailedException">The replica was aborted.</exception>
    byte[] Share(string key, Func<byte[]> create);
}
