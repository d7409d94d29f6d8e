using LocalLlm.Layers;
using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>
/// The shape of a model: config.json, validated and with every default of transformers filled in. Reads both the classic form
/// (<c>rope_theta</c>, <c>rope_scaling</c>, <c>torch_dtype</c>) and transformers 5's (<c>rope_parameters</c>, <c>dtype</c>).
/// <para>
/// Fields that could bring code or another repository into play (<c>auto_map</c>, <c>trust_remote_code</c>,
/// <c>_attn_implementation</c>, <c>custom_pipelines</c>, …) are never read; unknown fields are ignored.
/// </para>
/// </summary>
internal sealed record ModelConfig
{
    /// <summary>The file's name.</summary>
    public const string FileName = "config.json";

    // Real ones have a few KB; a document of this size costs about 40 MB while it is read.
    private const int MaxBytes = 4 << 20;

    /// <summary>The class that decides what is built: the first of <see cref="Architectures"/> that this build knows.</summary>
    public required string Architecture { get; init; }

    /// <summary><c>architectures</c> as written.</summary>
    public required IReadOnlyList<string> Architectures { get; init; }

    /// <summary><c>model_type</c>.</summary>
    public required string ModelType { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the MLP.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>Query heads.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Key and value heads; divides <see cref="NumAttentionHeads"/>.</summary>
    public required int NumKeyValueHeads { get; init; }

    /// <summary>Dimensions of a head; even. Heads × this need not be <see cref="HiddenSize"/>.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Rows of the embedding.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Added to the mean square in RMSNorm.</summary>
    public required double RmsNormEps { get; init; }

    /// <summary>The context length of <c>max_position_embeddings</c>; see <see cref="MaxModelLength"/>.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>Always <c>silu</c>.</summary>
    public required string HiddenAct { get; init; }

    /// <summary>The head's matrix is the embedding's.</summary>
    public required bool TieWordEmbeddings { get; init; }

    /// <summary>Bias on the query, key and value projections.</summary>
    public required bool AttentionBias { get; init; }

    /// <summary>Bias on the attention's output projection.</summary>
    public required bool AttentionOutputBias { get; init; }

    /// <summary>Bias on the MLP's projections.</summary>
    public required bool MlpBias { get; init; }

    /// <summary>RMSNorm over each query and key head before rotation (Qwen3).</summary>
    public required bool QkNorm { get; init; }

    /// <summary>
    /// Most recent positions, the token's own among them, that a sliding layer attends to; null where no layer slides.
    /// </summary>
    public required int? SlidingWindow { get; init; }

    /// <summary>Which layers slide: one entry per layer, or empty where none does.</summary>
    public required IReadOnlyList<bool> SlidingLayers { get; init; }

    /// <summary>The rotary embedding.</summary>
    public required RopeConfig Rope { get; init; }

    /// <summary>The type the checkpoint was saved in; null where the file does not say, and the weights must be asked.</summary>
    public required ModelDtype? Dtype { get; init; }

    /// <summary>Beginning-of-sequence id, or null. generation_config.json and the tokenizer know better.</summary>
    public required int? BosTokenId { get; init; }

    /// <summary>End-of-sequence ids; may be empty.</summary>
    public required IReadOnlyList<int> EosTokenIds { get; init; }

    /// <summary>
    /// The longest context, as vLLM derives it: stretched by the factor of linear, dynamic and yarn scaling (yarn: from the original
    /// length), taken as written for llama3.
    /// </summary>
    public long MaxModelLength => Rope.RopeType switch
    {
        RopeType.Linear or RopeType.Dynamic => (long)(MaxPositionEmbeddings * Rope.Factor),
        RopeType.Yarn => (long)((Rope.OriginalMaxPositionEmbeddings ?? MaxPositionEmbeddings) * Rope.Factor),
        _ => MaxPositionEmbeddings,
    };

    /// <summary>The window of a layer, or null where it attends to everything before it.</summary>
    public int? SlidingWindowAt(int layer) => SlidingLayers.Count > 0 && SlidingLayers[layer] ? SlidingWindow : null;

    /// <summary>Reads config.json of a model folder.</summary>
    /// <exception cref="EngineException">
    /// The file is missing, malformed, out of range, or of an unsupported model (<see cref="EngineErrorKind.ModelFolder"/>); one error
    /// lists every problem.
    /// </exception>
    public static ModelConfig Load(string folder) => Parse(ModelFolderFile.ReadJson(folder, FileName, MaxBytes));

    /// <summary>Reads the text of a config.json.</summary>
    /// <exception cref="EngineException">As <see cref="Load"/>.</exception>
    public static ModelConfig Parse(ReadOnlyMemory<byte> utf8)
    {
        using var document = ModelFolderFile.ParseObject(FileName, utf8);
        return new ModelConfigReader(document.RootElement).Read();
    }
}
