using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>What connections between ranks need of the device that they work on.</summary>
internal interface ICollectiveDevice
{
    /// <summary>Where all of the device's work is queued.</summary>
    IntPtr Stream { get; }

    /// <summary>Whether work is being recorded; it must not be waited for then, and nothing may be allocated.</summary>
    bool IsRecording { get; }

    /// <summary>Has the calling thread's own calls of CUDA go to this device.</summary>
    void UseOnThisThread();

    /// <summary>What is recorded now passes a gate whenever it is launched.</summary>
    void RecordGate(LaunchGate gate);

    /// <summary>Waits until all that was queued is done.</summary>
    void Synchronize();

    /// <summary>An uninitialised [rows, width] view of a buffer that stays where it is; of the current dispose scope.</summary>
    Tensor Rent(WorkspaceSlot slot, long rows, long width, ScalarType type);
}
