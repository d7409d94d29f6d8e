using System.Text.Json.Serialization;

namespace LocalLlm;

/// <summary>How the memory of one device is used; all sizes in bytes.</summary>
public sealed record MemoryPlan
{
    /// <summary>For a CPU, the memory that was free when the plan was made; for a GPU, all of its memory.</summary>
    public required long AvailableBytes { get; init; }

    /// <summary>The part of the available memory that the engine may use.</summary>
    public required long BudgetBytes { get; init; }

    /// <summary>The weights, in the data type of the computation.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Activations and logits of the largest step; on a GPU also the memory of other programs and of the driver.</summary>
    public required long ActivationBytes { get; init; }

    /// <summary>Decode steps recorded as CUDA graphs; 0 on a CPU.</summary>
    public long GraphBytes { get; init; }

    /// <summary>The KV cache.</summary>
    public required long KvCacheBytes { get; init; }

    /// <summary>Keys and values of one block over all layers.</summary>
    public required long BytesPerBlock { get; init; }

    /// <summary>Blocks in the KV cache of one data-parallel group.</summary>
    public required int NumBlocks { get; init; }

    /// <summary>Tokens per block.</summary>
    public required int BlockSize { get; init; }

    /// <summary>Maximum number of tokens of one sequence.</summary>
    public required int MaxModelLen { get; init; }

    /// <summary>Why <see cref="MaxModelLen"/> is less than the model's own length, or null.</summary>
    public string? Note { get; init; }

    /// <summary>Tokens that the KV cache holds; with several data-parallel groups, each group's cache.</summary>
    public long KvCacheTokens => (long)NumBlocks * BlockSize;

    /// <summary>Sequences of full length that fit at once; with several data-parallel groups, into each group's cache.</summary>
    public double MaxConcurrency => (double)KvCacheTokens / MaxModelLen;

    /// <summary>Rows of the largest decode step that is recorded, where the engine records steps; 0: none.</summary>
    [JsonInclude]
    internal int MaxRecordedRows { get; init; } = int.MaxValue;

    /// <summary>This plan, with its blocks, sequence length and recorded steps capped at those of another plan.</summary>
    internal MemoryPlan WithAtMost(MemoryPlan other)
    {
        var fewer = Math.Min(NumBlocks, other.NumBlocks);
        return this with
        {
            NumBlocks = fewer,
            KvCacheBytes = fewer * BytesPerBlock,
            MaxModelLen = Math.Min(MaxModelLen, other.MaxModelLen),
            MaxRecordedRows = Math.Min(MaxRecordedRows, other.MaxRecordedRows),
        };
    }
}
