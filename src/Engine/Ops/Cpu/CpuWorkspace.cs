namespace LocalLlm.Ops.Cpu;

/// <summary>Bytes that the CPU's kernels keep beside activations, for the memory plan.</summary>
internal static class CpuWorkspace
{
    /// <summary>The float32 rows of all experts of a step: how much more they take than in the activation type.</summary>
    /// <param name="stepTokens">Tokens of the largest step, of all data-parallel groups.</param>
    /// <param name="perToken">Experts per token.</param>
    /// <param name="hidden">Inputs and outputs of an expert.</param>
    /// <param name="width">Width of an expert.</param>
    /// <param name="elementBytes">Bytes of an activation.</param>
    public static long ForExperts(long stepTokens, int perToken, int hidden, int width, int elementBytes) =>
        Math.Min(stepTokens, CpuExpertOps.MaxTokens) * perToken * ((2L * hidden) + width) * (sizeof(float) - elementBytes);

    /// <summary>Keys and values of a chunk if attention is expanded, which it is in bfloat16.</summary>
    /// <param name="shape">Sizes of the layer over all ranks.</param>
    /// <param name="elementBytes">Bytes of an activation.</param>
    public static long ForLatentAttention(LatentAttentionShape shape, int elementBytes) =>
        elementBytes == sizeof(float) ? 0 : ExpandedAttention.WorkspaceBytes(shape, Environment.ProcessorCount);
}
