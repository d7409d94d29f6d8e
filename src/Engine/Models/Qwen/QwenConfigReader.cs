namespace LocalLlm.Models.Qwen;

/// <summary>Reads config.json of a Qwen2 or Qwen3 model.</summary>
internal static class QwenConfigReader
{
    private static readonly DecoderDefaults s_qwen2 = new() { MaxPositionEmbeddings = 32_768, HasFixedQkvBias = true,
        Window = SlidingWindowKind.Gated };
    private static readonly DecoderDefaults s_qwen3 = new() { MaxPositionEmbeddings = 32_768, HeadDim = 128,
        Window = SlidingWindowKind.Gated };

    /// <summary>transformers' Qwen2Config: biases on q, k and v.</summary>
    public static QwenConfig ReadQwen2(ModelConfigSource source) => new(new DecoderConfigReader(source, s_qwen2).Read());

    /// <summary>transformers' Qwen3Config: norms on query and key heads.</summary>
    public static QwenConfig ReadQwen3(ModelConfigSource source) => new(new DecoderConfigReader(source, s_qwen3).Read()) { QkNorm = true };
}
