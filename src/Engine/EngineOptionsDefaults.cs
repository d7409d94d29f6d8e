namespace LocalLlm;

/// <summary>Defaults that depend on the device or on other options.</summary>
internal static class EngineOptionsDefaults
{
    /// <summary>vLLM's <c>max_num_seqs</c> outside of large GPUs.</summary>
    public const int MaxNumSeqs = 256;

    /// <summary>Most tokens of a step that decoding shares with prompts.</summary>
    public const int MaxNumBatchedTokens = 2048;

    /// <summary>Most tokens of an encoder's step on a GPU, where small ones leave most of the card idle.</summary>
    public static int EncoderBatchedTokensOnGpu(long memoryBytes) => memoryBytes >= LargeGpuBytes ? 32_768 : 8192;

    // As vLLM tells large cards from others.
    private const long LargeGpuBytes = 70L << 30;

    /// <summary>vLLM's default on a GPU.</summary>
    public const double GpuMemoryUtilization = 0.92;

    /// <summary>A CPU's memory belongs to the host application too.</summary>
    public const double CpuMemoryUtilization = 0.5;
}
