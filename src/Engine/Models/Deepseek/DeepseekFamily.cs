namespace LocalLlm.Models.Deepseek;

/// <summary>DeepSeek-V2 (arXiv 2405.04434) and V3 (arXiv 2412.19437); R1 and V3.1 are V3 models.</summary>
internal static class DeepseekFamily
{
    /// <summary>What <see cref="ModelRegistry"/> lists.</summary>
    public static DecoderFamily Family { get; } = new DecoderFamily<DeepseekConfig>(
        [
            new("DeepseekV2ForCausalLM", "deepseek_v2", DeepseekConfigReader.ReadV2),
            new("DeepseekV3ForCausalLM", "deepseek_v3", DeepseekConfigReader.ReadV3),
        ],
        (config, context, limits) => new DeepseekForCausalLM(config, context, limits))
    {
        SupportsPipelineParallel = true,
    };
}
