namespace LocalLlm.Bench;

/// <summary>The shape of bge-m3, for random weights of the same size.</summary>
internal static class EncoderShape
{
    public const int Hidden = 1024;
    public const int Intermediate = 4096;
    public const int Layers = 24;
    public const int Heads = 16;
    private const string Modules = """[{"type":"sentence_transformers.models.Transformer","path":""},{"type":"sentence_transformers.models.Pooling","path":"1_Pooling"},{"type":"sentence_transformers.models.Normalize","path":"2_Normalize"}]""";
    private const string Pooling = """{"word_embedding_dimension":1024,"pooling_mode_cls_token":true}""";
    private static readonly string[] Architectures = ["XLMRobertaModel"];
    private const int Vocabulary = 250_002;
    private const int Positions = 8194;

    /// <summary>The four products of a layer: inputs and outputs.</summary>
    public static IReadOnlyList<(int In, int Out)> Products { get; } = [(Hidden, 3 * Hidden), (Hidden, Hidden), (Hidden, Intermediate), (Intermediate, Hidden)];

    /// <summary>Multiplications and additions for texts of these lengths, including attention's two products.</summary>
    public static double Operations(IEnumerable<int> lengths) =>
        lengths.Sum(length => Layers * ((2.0 * length * Products.Sum(product => (double)product.In * product.Out)) + (4.0 * length * length * Hidden)));

    /// <summary>Writes config.json and model.safetensors, unless they exist.</summary>
    public static void WriteTo(string folder)
    {
        Directory.CreateDirectory(Path.Combine(folder, "1_Pooling"));
        File.WriteAllText(Path.Combine(folder, "modules.json"), Modules);
        File.WriteAllText(Path.Combine(folder, "1_Pooling", "config.json"), Pooling);
        RandomWeights.Write(
            folder,
            new Dictionary<string, object>
            {
                ["architectures"] = Architectures,
                ["model_type"] = "xlm-roberta",
                ["hidden_size"] = Hidden,
                ["intermediate_size"] = Intermediate,
                ["num_hidden_layers"] = Layers,
                ["num_attention_heads"] = Heads,
                ["vocab_size"] = Vocabulary,
                ["max_position_embeddings"] = Positions,
                ["type_vocab_size"] = 1,
                ["pad_token_id"] = 1,
                ["bos_token_id"] = 0,
                ["eos_token_id"] = 2,
                ["layer_norm_eps"] = 1e-5,
                ["hidden_act"] = "gelu",
                ["torch_dtype"] = "bfloat16",
            },
            [.. Tensors()]);
    }

    private static IEnumerable<(string Name, long[] Shape)> Tensors()
    {
        yield return ("embeddings.word_embeddings.weight", [Vocabulary, Hidden]);
        yield return ("embeddings.position_embeddings.weight", [Positions, Hidden]);
        yield return ("embeddings.token_type_embeddings.weight", [1, Hidden]);
        yield return ("embeddings.LayerNorm.weight", [Hidden]);
        yield return ("embeddings.LayerNorm.bias", [Hidden]);
        for (var layer = 0; layer < Layers; layer++)
        {
            foreach (var (name, inputs, outputs) in new[]
            {
                ("attention.self.query", Hidden, Hidden), ("attention.self.key", Hidden, Hidden), ("attention.self.value", Hidden, Hidden), ("attention.output.dense", Hidden, Hidden),
                ("intermediate.dense", Hidden, Intermediate), ("output.dense", Intermediate, Hidden),
            })
            {
                yield return ($"encoder.layer.{layer}.{name}.weight", [outputs, inputs]);
                yield return ($"encoder.layer.{layer}.{name}.bias", [outputs]);
            }

            foreach (var name in new[] { "attention.output.LayerNorm", "output.LayerNorm" })
            {
                yield return ($"encoder.layer.{layer}.{name}.weight", [Hidden]);
                yield return ($"encoder.layer.{layer}.{name}.bias", [Hidden]);
            }
        }
    }
}
