using LocalLlm.Interop;

namespace LocalLlm.Ops;

/// <summary>One sequence's part of a step.</summary>
/// <param name="FirstToken">Row of the sequence's first token among the tokens of the step.</param>
/// <param name="TokenCount">Number of its tokens in this step.</param>
/// <param name="ContextLength">Number of its tokens up to and including the last one of this step.</param>
/// <param name="BlockTableStart">Where its block ids begin in <see cref="AttentionMetadata.BlockTables"/>.</param>
internal readonly record struct SequenceSpan(int FirstToken, int TokenCount, int ContextLength, int BlockTableStart);

/// <summary>What attention needs to know about a step beside its activations. The model runner fills it anew for each step.</summary>
internal sealed class AttentionMetadata : IDisposable
{
    /// <summary>Tokens per KV block.</summary>
    public const int BlockSize = 16;

    /// <summary>[tokens] the row of each token in the model's table of positions. Only the model fills and reads it.</summary>
    public NativeBuffer<int> PositionRows { get; } = new();

    /// <summary>[tokens] where each token's key and value are stored: block id · 16 + offset.</summary>
    public NativeBuffer<int> SlotMapping { get; } = new();

    /// <summary>[sequences] the sequences of the step.</summary>
    public NativeBuffer<SequenceSpan> Sequences { get; } = new();

    /// <summary>The block ids of all sequences, one after the other.</summary>
    public NativeBuffer<int> BlockTables { get; } = new();

    /// <summary>While work is recorded for later steps, the max length of their contexts; 0: only this step's contexts count.</summary>
    public int ContextBound { get; set; }

    /// <summary>The largest number of positions that a sequence of the step attends to.</summary>
    public int LongestContext
    {
        get
        {
            var longest = ContextBound;
            foreach (var sequence in Sequences.Span)
                longest = Math.Max(longest, sequence.ContextLength);
            return longest;
        }
    }

    /// <summary>Tokens in the step.</summary>
    public int TokenCount => SlotMapping.Count;

    /// <summary>Forgets the last step.</summary>
    public void Clear()
    {
        PositionRows.Clear();
        SlotMapping.Clear();
        Sequences.Clear();
        BlockTables.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        PositionRows.Dispose();
        SlotMapping.Dispose();
        Sequences.Dispose();
        BlockTables.Dispose();
    }
}
