namespace LocalLlm.Models.Qwen;

/// <summary>Qwen2 (Yang et al., 2024), the base of some of DeepSeek's R1 distills, and Qwen3 (Yang et al., 2025).</summary>
internal static class QwenFamily
{
    /// <summary>What <see cref="ModelRegistry"/> lists.</summary>
    public static DecoderFamily Family { get; } = new DecoderFamily<QwenConfig>(
        [
            new("Qwen2ForCausalLM", "qwen2", QwenConfigReader.ReadQwen2),
            new("Qwen3ForCausalLM", "qwen3", QwenConfigReader.ReadQwen3),
        ],
        (config, context, limits) => new QwenForCausalLM(config, context, limits))
    {
        SupportsPipelineParallel = true,
    };
}
