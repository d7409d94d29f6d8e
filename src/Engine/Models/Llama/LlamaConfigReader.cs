namespace LocalLlm.Models.Llama;

/// <summary>Reads config.json of a Llama or Mistral model.</summary>
internal static class LlamaConfigReader
{
    private static readonly DecoderDefaults s_llama = new() { MaxPositionEmbeddings = 2048, BosTokenId = 1, EosTokenId = 2 };
    private static readonly DecoderDefaults s_mistral = new() { MaxPositionEmbeddings = 131_072, BosTokenId = 1, EosTokenId = 2,
        Window = SlidingWindowKind.Every };

    /// <summary>transformers' LlamaConfig.</summary>
    public static LlamaConfig ReadLlama(ModelConfigSource source) => Read(source, s_llama);

    /// <summary>transformers' MistralConfig.</summary>
    public static LlamaConfig ReadMistral(ModelConfigSource source) => Read(source, s_mistral);

    private static LlamaConfig Read(ModelConfigSource source, DecoderDefaults defaults) =>
        new(new DecoderConfigReader(source, defaults).Read()) { MlpBias = source.Fields.Bool("mlp_bias") ?? false };
}
