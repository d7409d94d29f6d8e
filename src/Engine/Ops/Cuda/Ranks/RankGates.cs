using LocalLlm.Parallel;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// The gates of one connection. Work that is launched on its own passes the connection's gate; recorded work passes the gate that all ranks
/// of the process share.
/// </summary>
/// <param name="Own">Gate of the connected ranks; null: the others are in other processes.</param>
/// <param name="Process">Gate of all ranks of this process; null: there is only one rank.</param>
internal readonly record struct RankGates(LaunchGate? Own, LaunchGate? Process)
{
    /// <summary>No ranks to wait for on this host.</summary>
    public static RankGates None => default;

    /// <summary>Called before the device's work is queued, after everything that may wait or allocate.</summary>
    public void Enter(ICollectiveDevice device)
    {
        if (!device.IsRecording)
            Own?.Pass();
        else if (Process is not null)
            device.RecordGate(Process);
    }

    /// <summary>Called after the device's work has been queued.</summary>
    public void Leave(ICollectiveDevice device)
    {
        if (!device.IsRecording)
            Own?.Pass();
    }

    /// <summary>Closes the gates: all who wait or come later fail with <paramref name="failure"/>.</summary>
    public void Close(RankFailedException failure)
    {
        Own?.Close(failure);
        Process?.Close(failure);
    }
}
