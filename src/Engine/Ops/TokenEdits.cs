using System.Runtime.InteropServices;

namespace LocalLlm.Ops;

/// <summary>
/// What a request does to one row of logits before its token is chosen, in the order of the fields; lists stand in
/// <see cref="SamplingBatch.Data"/>. <c>Edits</c> in processors.cu.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TokenEdits
{
    /// <summary>Bits of allowed tokens; no words: no mask.</summary>
    public int MaskStart, MaskWords;

    /// <summary>The only tokens allowed; -1: all are.</summary>
    public int AllowedStart, AllowedCount;

    /// <summary>Tokens that are not.</summary>
    public int BannedStart, BannedCount;

    /// <summary>Ids, then as many float32 that are added.</summary>
    public int BiasStart, BiasCount;

    /// <summary>Ids, then how often each stands in the output; 0: in the prompt alone.</summary>
    public int CountsStart, CountsCount;

    /// <summary>1: off.</summary>
    public float RepetitionPenalty;

    /// <summary>0: off.</summary>
    public float FrequencyPenalty, PresencePenalty;
}
