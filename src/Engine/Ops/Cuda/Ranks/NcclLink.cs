using LocalLlm.Interop;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>A link between neighbouring stages by NCCL, on the device's stream; it can be recorded.</summary>
/// <param name="communicator">Connects both ranks: rank 0 sends, rank 1 receives. Owned.</param>
internal sealed unsafe class NcclLink(NcclCommunicator communicator) : IPipelineLink, IDeviceBound
{
    private const int Sender = 0;
    private const int Receiver = 1;

    /// <inheritdoc/>
    public void Bind(IDeviceOps ops) => communicator.Bind(ops);

    /// <inheritdoc/>
    public void Send(Tensor hidden)
    {
        var (data, count, type) = ((nint)hidden.DataPointer(), hidden.numel(), NcclCommunicator.TypeOf(hidden.dtype));
        communicator.Run((library, handle, stream) => library.Send(data, count, type, Receiver, handle, stream));
    }

    /// <inheritdoc/>
    public Tensor Receive(long tokens, long width, ScalarType type)
    {
        var target = communicator.Device.Rent(WorkspaceSlot.Hidden, tokens, width, type);
        var data = (nint)target.DataPointer();
        communicator.Run((library, handle, stream) =>
            library.Receive(data, tokens * width, NcclCommunicator.TypeOf(type), Sender, handle, stream));
        return target;
    }

    /// <inheritdoc/>
    public void Abort(Exception reason) => communicator.Abort(reason);

    /// <inheritdoc/>
    public void Dispose() => communicator.Dispose();
}
