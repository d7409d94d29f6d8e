using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>What both ends of a <see cref="CopyLink"/> share. The last end to leave frees it.</summary>
/// <param name="slots">Max number of messages that are sent and not yet received.</param>
internal sealed class CopiedMessages(int slots)
{
    private readonly Slot[] _slots = [.. Enumerable.Range(0, slots).Select(_ => new Slot())];
    private int _left;

    /// <summary>Which end may use which slot.</summary>
    public MessageTurns Turns { get; } = new(slots);

    /// <summary>The context of the sender's card, once it is bound.</summary>
    public IntPtr SenderContext { get; set; }

    /// <summary>A slot. Only the end whose turn it is may use it.</summary>
    public Slot this[int index] => _slots[index];

    /// <summary>Called by an end that uses none of this any more, on the host or on its card.</summary>
    public void Leave()
    {
        const int ends = 2;
        if (Interlocked.Increment(ref _left) < ends)
            return;
        foreach (var slot in _slots)
            slot.Free();
    }

    /// <summary>One message, in the memory of the sender's card.</summary>
    public sealed class Slot
    {
        /// <summary>The message's bytes; null: nothing was sent through this slot yet.</summary>
        public Tensor? Memory { get; set; }

        /// <summary>Number of bytes of the latest message.</summary>
        public long Bytes { get; set; }

        /// <summary>Happens on the sender's card once the message is written.</summary>
        public CudaEvent Written { get; } = new();

        /// <summary>Happens on the receiver's card once the message is copied.</summary>
        public CudaEvent Read { get; } = new();

        /// <summary>Frees the slot. No message may be under way.</summary>
        public void Free()
        {
            Memory?.Dispose();
            Memory = null;
            Written.Dispose();
            Read.Dispose();
        }
    }
}
