using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// A link between two ranks of one process for what is small: the cards' copy engines bring it, and events order them. Nothing waits on a
/// card but for work that is in a queue already, so that it can be used in whatever order beside links whose kernels wait. It cannot be
/// recorded.
/// </summary>
/// <param name="messages">Shared with the other end.</param>
/// <param name="sends">Which end this is.</param>
/// <param name="senderCard">
/// The sender's card, where the receiver's may read its memory; null: the driver copies through the host's.
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
            _card.OpenPeer(other); // now, since it may wait for both cards, where ranks wait for each other later
    }

    /// <inheritdoc/>
    public void Send(Tensor hidden)
    {
        var bytes = hidden.numel() * BytesOf(hidden.dtype);
        var slot = messages[messages.Turns.BeginSend()];
        // Also before the memory is freed: whatever takes its place comes later on this stream.
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
            throw new InvalidOperationException($"{bytes} bytes were awaited of another rank, which has sent {slot.Bytes}.");
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

    // Ids, beside what a model computes in.
    private static int BytesOf(ScalarType type) => type == ScalarType.Int32 ? sizeof(int) : type.ElementSize();

    private static unsafe ulong Address(Tensor tensor) => (ulong)tensor.DataPointer();
}
