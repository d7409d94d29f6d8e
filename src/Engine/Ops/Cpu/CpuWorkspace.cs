namespace LocalLlm.Ops.Cpu;

/// <summary>Bytes that the CPU's kernels keep beside activations, for the memory plan.</summary>
internal static class CpuWorkspace
{
    /// <summary>Rows of all experts of a step, which are float32: by what they exceed activations in the activation type.</summary>
    /// <param name="stepTokens">Tokens of the largest step, of all data-parallel groups.</param>
    /// <param name="perToken">Experts of a token.</param>
    /// <param name="hidden">Inputs and outputs of an expert.</param>
    /// <param name="width">Its width.</param>
    /// <param name="elementBytes">Of an activation.</param>
    public static long ForExperts(long stepTokens, int perToken, int hidden, int width, int elementBytes) =>
        Math.Min(stepTokens, CpuExpertOps.MaxTokens) * perToken * ((2L * hidden) + width) * (sizeof(float) - elementBytes);

    /// <summary>Keys and values of a chunk, where attention is expanded: in bfloat16.</summary>
    /// <param name="shape">Of all ranks.</param>
    /// <param name="elementBytes">Of an activation.</param>
    public static long ForLatentAttention(LatentAttentionShape shape, int elementBytes) =>
        elementBytes == sizeof(float) ? 0 : ExpandedAttention.WorkspaceBytes(shape, Environment.ProcessorCount);
}
