namespace LocalLlm;

/// <summary>Defaults that depend on the device or on other options.</summary>
internal static class EngineOptionsDefaults
{
    /// <summary>vLLM's <c>max_num_seqs</c> on everything but large GPUs.</summary>
    public const int MaxNumSeqs = 256;

    /// <summary>Maximum number of tokens of a step that mixes decoding and prompts.</summary>
    public const int MaxNumBatchedTokens = 2048;

    /// <summary>Maximum number of tokens of an encoder's step on a GPU. Small steps would leave most of the card idle.</summary>
    public static int EncoderBatchedTokensOnGpu(long memoryBytes) => memoryBytes >= LargeGpuBytes ? 32_768 : 8192;

    // vLLM's threshold for a large card.
    private const long LargeGpuBytes = 70L << 30;

    /// <summary>vLLM's default on a GPU.</summary>
    public const double GpuMemoryUtilization = 0.92;

    /// <summary>The host application needs a CPU's memory too.</summary>
    public const double CpuMemoryUtilization = 0.5;
}
