using System.Globalization;

namespace LocalLlm.KvCache;

/// <summary>The memory that a model needs, and the limits that the options set.</summary>
internal sealed record MemoryRequest
{
    /// <summary>Bytes that the device has free.</summary>
    public required long AvailableBytes { get; init; }

    /// <summary>The engine's share of those bytes.</summary>
    public required double Utilization { get; init; }

    /// <summary>The weights in their final form in memory.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Activations and logits of the largest step.</summary>
    public required long ActivationBytes { get; init; }

    /// <summary>Recorded steps.</summary>
    public long GraphBytes { get; init; }

    /// <summary>Keys and values of one block over all layers.</summary>
    public required long BytesPerBlock { get; init; }

    /// <summary>Tokens per block.</summary>
    public required int BlockSize { get; init; }

    /// <summary>The model's own context length.</summary>
    public required int ModelLength { get; init; }

    /// <summary>The requested length, or null.</summary>
    public int? MaxModelLen { get; init; }

    /// <summary>Maximum number of running sequences: more blocks than all of them can fill would be useless.</summary>
    public required int MaxNumSeqs { get; init; }

    /// <summary>Requested bytes for the KV cache, or null.</summary>
    public long? KvCacheMemoryBytes { get; init; }

    /// <summary>Requested number of blocks, or null.</summary>
    public int? NumBlocksOverride { get; init; }
}

/// <summary>
/// Sizes the KV cache from the device's memory. If the context length is not requested, it is cut to what fits. A requested length that
/// does not fit is refused, with a length that would.
/// </summary>
internal static class MemoryPlanner
{
    private const int MinModelLen = 2;

    // The allocator keeps about a hundred bytes for every block, however small.
    private const int BookkeepingBytes = 128;
    private const int MaxBlocks = 1 << 19;

    /// <summary>Creates the plan.</summary>
    /// <exception cref="EngineException">Kind Environment: too little memory; the message states the figures, and settings that would
    /// fit.</exception>
    public static MemoryPlan Plan(MemoryRequest request)
    {
        var budget = (long)(request.AvailableBytes * request.Utilization);
        var fixedBytes = request.WeightBytes + request.ActivationBytes + request.GraphBytes;
        var wantedLength = request.MaxModelLen ?? request.ModelLength;
        var useful = BlocksFor(wantedLength, request.BlockSize) * request.MaxNumSeqs;
        var affordable = request.NumBlocksOverride
            ?? (request.KvCacheMemoryBytes ?? (budget - fixedBytes)) / (request.BytesPerBlock + (request.KvCacheMemoryBytes is null ? BookkeepingBytes : 0));
        var blocks = request.NumBlocksOverride is not null ? affordable : Math.Min(Math.Min(affordable, useful), MaxBlocks);
        blocks = Math.Min(blocks, Array.MaxLength / request.BlockSize);

        if (AskedBytes(request) is { } asked && asked + fixedBytes > request.AvailableBytes)
        {
            var most = Math.Max(0, request.AvailableBytes - fixedBytes);
            throw new EngineException(
                EngineErrorKind.Environment,
                $"Not enough memory: a KV cache of {Size(asked)} was asked for, but {Size(request.AvailableBytes)} are available, of which weights and activations take {Size(fixedBytes)}. Ask for at most {Size(most)}: {most / request.BytesPerBlock} blocks.",
                request.NumBlocksOverride is null ? "kv_cache_memory_bytes" : "num_gpu_blocks_override");
        }

        if (request.KvCacheMemoryBytes is null && request.NumBlocksOverride is null && fixedBytes > budget)
            throw TooSmall(request, budget, $"the weights and activations alone take {Size(fixedBytes)}");
        var fits = Math.Max(0, blocks) * request.BlockSize;
        if (fits < Math.Max(MinModelLen, request.MaxModelLen ?? 0))
            throw TooSmall(request, budget, $"{Size(Math.Max(0, blocks) * request.BytesPerBlock)} are left for the KV cache, which hold {fits} tokens");

        var length = (int)Math.Min(wantedLength, fits);
        return new()
        {
            AvailableBytes = request.AvailableBytes,
            BudgetBytes = budget,
            WeightBytes = request.WeightBytes,
            ActivationBytes = request.ActivationBytes,
            GraphBytes = request.GraphBytes,
            KvCacheBytes = blocks * request.BytesPerBlock,
            BytesPerBlock = request.BytesPerBlock,
            NumBlocks = (int)blocks,
            BlockSize = request.BlockSize,
            MaxModelLen = length,
            Note = length < wantedLength ? $"the model's {wantedLength} tokens do not fit the KV cache; max_model_len is {length}" : null,
        };
    }

    private static long? AskedBytes(MemoryRequest request) =>
        request.NumBlocksOverride is { } blocks ? blocks * request.BytesPerBlock : request.KvCacheMemoryBytes;

    private static long BlocksFor(long tokens, int blockSize) => (tokens + blockSize - 1) / blockSize;

    private static EngineException TooSmall(MemoryRequest request, long budget, string found)
    {
        var wanted = request.MaxModelLen ?? MinModelLen;
        var needed = BlocksFor(wanted, request.BlockSize) * request.BytesPerBlock;
        var feasible = Math.Max(0, (budget - request.WeightBytes - request.ActivationBytes - request.GraphBytes) / request.BytesPerBlock * request.BlockSize);
        var advice = request.NumBlocksOverride is not null || request.KvCacheMemoryBytes is not null
            ? "Raise num_gpu_blocks_override or kv_cache_memory_bytes, or lower max_model_len."
            : feasible >= MinModelLen
                ? $"Lower max_model_len to at most {feasible}, or raise gpu_memory_utilization."
                : "Free memory, raise gpu_memory_utilization, choose a smaller dtype or a smaller model.";
        return new(
            EngineErrorKind.Environment,
            string.Create(CultureInfo.InvariantCulture, $"Not enough memory: {Size(request.AvailableBytes)} are available and {request.Utilization:P0} of them ({Size(budget)}) may be used; {found}, but {Size(needed)} of KV cache are needed for {wanted} tokens. {advice}"),
            "gpu_memory_utilization");
    }

    private static string Size(long bytes) => bytes switch
    {
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):F2} GiB"),
        >= 1L << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):F2} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:F2} KiB"),
    };
}
