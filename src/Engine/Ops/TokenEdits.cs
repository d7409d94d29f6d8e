using System.Runtime.InteropServices;

namespace LocalLlm.Ops;

/// <summary>
/// The changes that a request makes to one row of logits before sampling, in the order of the fields. Lists are in
/// <see cref="SamplingBatch.Data"/>. <c>Edits</c> in processors.cu.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TokenEdits
{
    /// <summary>Bits of allowed tokens; no words: no mask.</summary>
    public int MaskStart, MaskWords;

    /// <summary>The only allowed tokens; count -1: all are allowed.</summary>
    public int AllowedStart, AllowedCount;

    /// <summary>Banned tokens.</summary>
    public int BannedStart, BannedCount;

    /// <summary>Ids, then as many float32 values to add to their logits.</summary>
    public int BiasStart, BiasCount;

    /// <summary>Ids, then how often each occurs in the output; 0: only in the prompt.</summary>
    public int CountsStart, CountsCount;

    /// <summary>1: off.</summary>
    public float RepetitionPenalty;

    /// <summary>0: off.</summary>
    public float FrequencyPenalty, PresencePenalty;
}
