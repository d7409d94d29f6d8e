namespace LocalLlm.Models.Llama;

/// <summary>Llama (Touvron et al., 2023) and Mistral, which is a Llama with a sliding window (Jiang et al., 2023).</summary>
internal static class LlamaFamily
{
    /// <summary>What <see cref="ModelRegistry"/> lists.</summary>
    public static DecoderFamily Family { get; } = new DecoderFamily<LlamaConfig>(
        [
            new("LlamaForCausalLM", "llama", LlamaConfigReader.ReadLlama),
            new("MistralForCausalLM", "mistral", LlamaConfigReader.ReadMistral),
        ],
        (config, context, limits) => new LlamaForCausalLM(config, context, limits))
    {
        SupportsPipelineParallel = true,
    };
}
