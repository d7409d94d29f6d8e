using LocalLlm.Parallel;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// The gates of one connection: work that is launched by itself passes the connection's own, recorded work one of all ranks of the
/// process.
/// </summary>
/// <param name="Own">Of the ranks that are connected; null: they are in other processes.</param>
/// <param name="Process">Of all ranks of this process; null: there is only one.</param>
internal readonly record struct RankGates(LaunchGate? Own, LaunchGate? Process)
{
    /// <summary>Nobody to wait for on this host.</summary>
    public static RankGates None => default;

    /// <summary>Before the device's work is queued, after everything that may wait or allocate.</summary>
    public void Enter(ICollectiveDevice device)
    {
        if (!device.IsRecording)
            Own?.Pass();
        else if (Process is not null)
            device.RecordGate(Process);
    }

    /// <summary>After it has been queued.</summary>
    public void Leave(ICollectiveDevice device)
    {
        if (!device.IsRecording)
            Own?.Pass();
    }

    /// <summary>Lets nobody pass any more.</summary>
    public void Close(RankFailedException failure)
    {
        Own?.Close(failure);
        Process?.Close(failure);
    }
}
