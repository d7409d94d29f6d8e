using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>The other processes of a replica, as the ranks of this one see them. Thread-safe.</summary>
internal interface IClusterPeer : IMemoryAgreement
{
    /// <summary>What has come from them.</summary>
    ClusterMail Mail { get; }

    /// <summary>Sends a message towards a rank of another process; does not wait.</summary>
    void PostToRank(int rank, byte[] message);

    /// <summary>Gives a value to all processes.</summary>
    void Share(SharedValue value);
}
