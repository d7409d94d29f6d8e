using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>
/// What the engine knows about any model that generates text: config.json, validated and completed with transformers' defaults. Families
/// add what their models need. It reads both the classic form (<c>rope_theta</c>, <c>rope_scaling</c>, <c>torch_dtype</c>) and that of
/// transformers 5 (<c>rope_parameters</c>, <c>dtype</c>).
/// <para>
/// Fields that could bring code or another repository into play (<c>auto_map</c>, <c>trust_remote_code</c>,
/// <c>_attn_implementation</c>, <c>custom_pipelines</c>, …) are never read; unknown fields are ignored.
/// </para>
/// </summary>
internal abstract record ModelConfig
{
    /// <summary>The file's name.</summary>
    public const string FileName = "config.json";

    // Real files have a few KB; reading a document of this size takes about 40 MB.
    private const int MaxBytes = 4 << 20;

    /// <summary>The model class to build: the first of <see cref="Architectures"/> that this build knows.</summary>
    public required string Architecture { get; init; }

    /// <summary><c>architectures</c> as written.</summary>
    public required IReadOnlyList<string> Architectures { get; init; }

    /// <summary><c>model_type</c>.</summary>
    public required string ModelType { get; init; }

    /// <summary>Rows of the embedding.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>The type the checkpoint was saved in; null: the file does not say, and the weights' own types decide.</summary>
    public required ModelDtype? Dtype { get; init; }

    /// <summary>Beginning-of-sequence id; null: none. generation_config.json and the tokenizer take precedence.</summary>
    public required int? BosTokenId { get; init; }

    /// <summary>End-of-sequence ids; may be empty.</summary>
    public required IReadOnlyList<int> EosTokenIds { get; init; }

    /// <summary>How the layers' matrices are stored; null: unquantised.</summary>
    public QuantizationConfig? Quantization { get; init; }

    /// <summary>The longest context, as vLLM derives it.</summary>
    public abstract long MaxModelLength { get; }

    /// <summary>Layers of multi-token prediction that the checkpoint has after the last one.</summary>
    public virtual int PredictionLayers => 0;

    /// <summary>
    /// Elements per token of a step that exist at the same time, at the peak of a layer; the memory estimate uses it.
    /// </summary>
    public abstract long ActivationElements { get; }

    /// <summary>
    /// The part of <see cref="ActivationElements"/> for each token of another data-parallel group, which this rank's experts compute too.
    /// </summary>
    public virtual long ExpertElements => 0;

    /// <summary>Bytes that a CPU's kernels keep in addition to the activations.</summary>
    /// <param name="stepTokens">Tokens of the largest step, of all data-parallel groups.</param>
    /// <param name="elementBytes">Bytes of an activation.</param>
    public virtual long CpuWorkspaceBytes(long stepTokens, int elementBytes) => 0;

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
        return ModelConfigReader.Read(document.RootElement);
    }
}
