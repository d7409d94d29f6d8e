namespace LocalLlm.Models.XlmRoberta;

/// <summary>Reads config.json of an XLM-RoBERTa encoder.</summary>
internal static class XlmRobertaConfigReader
{
    // Several times the largest known model: a larger number means damage or malice.
    private const int MaxWidth = 1 << 16;
    private const int MaxCount = 1 << 12;
    private const int MaxRows = 4 << 20;

    /// <summary>Reads the fields of transformers' XLMRobertaConfig.</summary>
    public static XlmRobertaConfig Read(ModelConfigSource source)
    {
        source.RefuseQuantization();
        var fields = source.Fields;
        if (fields.Text("hidden_act") is { } activation and not "gelu")
            fields.Refuse("hidden_act", "gelu");
        if (fields.Text("position_embedding_type") is { } kind and not "absolute")
            fields.Refuse("position_embedding_type", "absolute");
        if (fields.Bool("is_decoder") == true)
            fields.Refuse("is_decoder", "false");
        var config = new XlmRobertaConfig
        {
            Architecture = source.Architecture,
            HiddenSize = fields.RequiredInt("hidden_size", 1, MaxWidth) ?? 1,
            IntermediateSize = fields.RequiredInt("intermediate_size", 1, MaxWidth) ?? 1,
            NumHiddenLayers = fields.RequiredInt("num_hidden_layers", 1, MaxCount) ?? 1,
            NumAttentionHeads = fields.RequiredInt("num_attention_heads", 1, MaxCount) ?? 1,
            VocabSize = fields.RequiredInt("vocab_size", 1, MaxRows) ?? 1,
            PositionRows = fields.Int("max_position_embeddings", 3, MaxRows) ?? 512,
            TypeVocabSize = fields.Int("type_vocab_size", 1, MaxCount) ?? 2,
            PadTokenId = fields.Int("pad_token_id", 0, MaxCount) ?? 1,
            LayerNormEps = fields.PositiveNumber("layer_norm_eps", 1) ?? 1e-12,
            Dtype = ModelDtypes.Read(fields),
        };
        if (config.HiddenSize % config.NumAttentionHeads != 0)
            fields.Refuse("hidden_size", $"a multiple of num_attention_heads ({config.NumAttentionHeads})");
        if (config.MaxModelLength < 1)
            fields.Refuse("max_position_embeddings", $"more than pad_token_id + 1 ({config.PadTokenId + 1})");
        return config;
    }
}
