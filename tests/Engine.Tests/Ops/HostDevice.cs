using LocalLlm.Ops.Cuda;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>A rank's device in the host's memory.</summary>
internal sealed class HostDevice : ICollectiveDevice
{
    public IntPtr Stream => IntPtr.Zero;

    public bool IsRecording => false;

    public void UseOnThisThread()
    {
        // Every thread reaches the host's memory.
    }

    public void RecordGate(LaunchGate gate) => throw new NotSupportedException();

    public void Synchronize()
    {
        // A call has done its work when it returns.
    }

    public Tensor Rent(WorkspaceSlot slot, long rows, long width, ScalarType type) => full(rows, width, float.NaN, type);
}
