using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>What connects the ranks of this process with those of others.</summary>
internal interface INodePeers : IMemoryAgreement
{
    /// <summary>The link between a rank of this process and one of another, of neighbouring stages.</summary>
    /// <param name="from">The rank that sends.</param>
    /// <param name="to">The rank that receives.</param>
    IPipelineLink Link(int from, int to);
}
