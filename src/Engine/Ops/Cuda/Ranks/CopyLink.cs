using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// A link between two ranks of one process for small messages: the cards' copy engines carry them, ordered by events. On a card, the link
/// only waits for work that is queued already, so it can be used in any order beside links whose kernels wait. It cannot be recorded.
/// </summary>
/// <param name="messages">Shared with the other end.</param>
/// <param name="sends">Whether this is the sender's end.</param>
/// <param name="senderCard">
/// The sender's card, if the receiver's card may read its memory; null: the driver copies through the host's memory.
/// </param>
internal sealed class CopyLink(CopiedMessages messages, bool sends, int? senderCard) : IPipelineLink, IDeviceBound
{
    private const long MinBytes = 4096;

    private CudaDevice? _card;
    private bool _isDisposed;

    /// <inheritdoc/>
    public void Bind(IDeviceOps ops)
    {
        _card = ((CudaOps)ops).Card;
        if (sends)
            messages.SenderContext = _card.Context;
        else if (senderCard is { } other)
            _card.OpenPeer(other); // now: the call may wait for both cards, and later the ranks wait for each other
    }

    /// <inheritdoc/>
    public void Send(Tensor hidden)
    {
        var bytes = hidden.numel() * BytesOf(hidden.dtype);
        var slot = messages[messages.Turns.BeginSend()];
        // Wait for the reader even if the memory is freed below: the memory's next user comes later on this stream.
        slot.Read.Precede(_card!);
        if (slot.Memory is null || slot.Memory.numel() < bytes)
        {
            slot.Memory?.Dispose();
            slot.Memory = empty(Math.Max(MinBytes, 2 * bytes), ScalarType.Byte, _card!.Torch).DetachFromDisposeScope();
        }

        slot.Bytes = bytes;
        CudaException.Check(
            CudaDriver.cuMemcpyDtoDAsync_v2(Address(slot.Memory), Address(hidden), (nuint)bytes, _card!.Stream), "copying what another rank gets");
        slot.Written.Record(_card);
        messages.Turns.EndSend();
    }

    /// <inheritdoc/>
    public Tensor Receive(long tokens, long width, ScalarType type)
    {
        var slot = messages[messages.Turns.BeginReceive()];
        var bytes = tokens * width * BytesOf(type);
        if (slot.Bytes != bytes)
            throw new InvalidOperationException($"Expected {bytes} bytes from another rank, received {slot.Bytes}.");
        var target = empty([tokens, width], type, device: _card!.Torch);
        slot.Written.Precede(_card);
        var status = messages.SenderContext == _card.Context
            ? CudaDriver.cuMemcpyDtoDAsync_v2(Address(target), Address(slot.Memory!), (nuint)bytes, _card.Stream)
            : CudaDriver.cuMemcpyPeerAsync(Address(target), _card.Context, Address(slot.Memory!), messages.SenderContext, (nuint)bytes, _card.Stream);
        CudaException.Check(status, "copying from another rank");
        slot.Read.Record(_card);
        messages.Turns.EndReceive();
        return target;
    }

    /// <inheritdoc/>
    public void Abort(Exception reason) => messages.Turns.Abort(reason);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        if (_card is not null)
            _ = CudaDriver.cuStreamSynchronize(_card.Stream);
        messages.Leave();
    }

    // Int32 for ids; else a type that a model computes in.
    private static int BytesOf(ScalarType type) => type == ScalarType.Int32 ? sizeof(int) : type.ElementSize();

    private static unsafe ulong Address(Tensor tensor) => (ulong)tensor.DataPointer();
}
