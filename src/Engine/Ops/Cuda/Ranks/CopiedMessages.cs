using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>What both ends of a <see cref="CopyLink"/> share. The last to leave frees it.</summary>
/// <param name="slots">Messages that may be sent and not received.</param>
internal sealed class CopiedMessages(int slots)
{
    private readonly Slot[] _slots = [.. Enumerable.Range(0, slots).Select(_ => new Slot())];
    private int _left;

    /// <summary>Whose turn a slot is.</summary>
    public MessageTurns Turns { get; } = new(slots);

    /// <summary>The context of the sender's card, once it is bound.</summary>
    public IntPtr SenderContext { get; set; }

    /// <summary>A slot; for the end whose turn it is.</summary>
    public Slot this[int index] => _slots[index];

    /// <summary>An end uses nothing of this any more, on the host or on its card.</summary>
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
        /// <summary>Bytes; null: nothing was sent here yet.</summary>
        public Tensor? Memory { get; set; }

        /// <summary>Bytes of the latest message.</summary>
        public long Bytes { get; set; }

        /// <summary>Happens on the sender's card when the message is there.</summary>
        public CudaEvent Written { get; } = new();

        /// <summary>Happens on the receiver's card when it was copied.</summary>
        public CudaEvent Read { get; } = new();

        /// <summary>Frees it; nothing is under way.</summary>
        public void Free()
        {
            Memory?.Dispose();
            Memory = null;
            Written.Dispose();
            Read.Dispose();
        }
    }
}
