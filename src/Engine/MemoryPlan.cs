using System.Text.Json.Serialization;

namespace LocalLlm;

/// <summary>Where the memory of one device goes; all sizes in bytes.</summary>
public sealed record MemoryPlan
{
    /// <summary>Of a CPU, what was free when the plan was made; of a GPU, all of its memory.</summary>
    public required long AvailableBytes { get; init; }

    /// <summary>The part of it that the engine may use.</summary>
    public required long BudgetBytes { get; init; }

    /// <summary>The weights in the type that they are computed in.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Activations and logits of the largest step; on a GPU also what others and the driver take.</summary>
    public required long ActivationBytes { get; init; }

    /// <summary>Decode steps recorded as CUDA graphs; 0 on a CPU.</summary>
    public long GraphBytes { get; init; }

    /// <summary>The KV cache.</summary>
    public required long KvCacheBytes { get; init; }

    /// <summary>Keys and values of one block over all layers.</summary>
    public required long BytesPerBlock { get; init; }

    /// <summary>Blocks in the KV cache, which is that of one data-parallel group.</summary>
    public required int NumBlocks { get; init; }

    /// <summary>Tokens per block.</summary>
    public required int BlockSize { get; init; }

    /// <summary>Most tokens of one sequence.</summary>
    public required int MaxModelLen { get; init; }

    /// <summary>Why <see cref="MaxModelLen"/> is less than the model's own length, or null.</summary>
    public string? Note { get; init; }

    /// <summary>Tokens that the KV cache holds; where there are several data-parallel groups, each group's.</summary>
    public long KvCacheTokens => (long)NumBlocks * BlockSize;

    /// <summary>Sequences of full length that fit at once; where there are several data-parallel groups, into each group's cache.</summary>
    public double MaxConcurrency => (double)KvCacheTokens / MaxModelLen;

    /// <summary>Rows of the largest decode step that is recorded where steps are; 0: none.</summary>
    [JsonInclude]
    internal int MaxRecordedRows { get; init; } = int.MaxValue;

    /// <summary>The same device with no more blocks, no longer sequences and no larger recorded steps than another one's.</summary>
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
