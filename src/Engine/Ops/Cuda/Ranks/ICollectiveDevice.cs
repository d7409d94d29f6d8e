using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>What connections between ranks need from their device.</summary>
internal interface ICollectiveDevice
{
    /// <summary>The stream that all of the device's work is queued on.</summary>
    IntPtr Stream { get; }

    /// <summary>Whether work is being recorded. No one may wait for the device or allocate memory then.</summary>
    bool IsRecording { get; }

    /// <summary>Directs the calling thread's CUDA calls to this device.</summary>
    void UseOnThisThread();

    /// <summary>Adds a gate that the work being recorded passes at every launch.</summary>
    void RecordGate(LaunchGate gate);

    /// <summary>Waits until all queued work is done.</summary>
    void Synchronize();

    /// <summary>An uninitialised [rows, width] view of a buffer that does not move; of the current dispose scope.</summary>
    Tensor Rent(WorkspaceSlot slot, long rows, long width, ScalarType type);
}
