namespace LocalLlm.Models.XlmRoberta;

/// <summary>XLM-RoBERTa (Conneau et al., 2020), the encoder of bge-m3.</summary>
internal static class XlmRobertaFamily
{
    /// <summary>What <see cref="ModelRegistry"/> lists.</summary>
    public static EncoderFamily Family { get; } = new EncoderFamily<XlmRobertaConfig>(
        [new("XLMRobertaModel", "xlm-roberta", XlmRobertaConfigReader.Read)],
        (config, context) => new XlmRobertaModel(config, context));
}
