using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>
/// What the engine knows of any model that generates: config.json, validated and with every default of transformers filled in. Families
/// add what their models need. Reads both the classic form
/// (<c>rope_theta</c>, <c>rope_scaling</c>, <c>torch_dtype</c>) and transformers 5's (<c>rope_parameters</c>, <c>dtype</c>).
/// <para>
/// Fields that could bring code or another repository into play (<c>auto_map</c>, <c>trust_remote_code</c>,
/// <c>_attn_implementation</c>, <c>custom_pipelines</c>, …) are never read; unknown fields are ignored.
/// </para>
/// </summary>
internal abstract record ModelConfig
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

    /// <summary>Rows of the embedding.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Decoder layers.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>The type the checkpoint was saved in; null where the file does not say, and the weights must be asked.</summary>
    public required ModelDtype? Dtype { get; init; }

    /// <summary>Beginning-of-sequence id, or null. generation_config.json and the tokenizer know better.</summary>
    public required int? BosTokenId { get; init; }

    /// <summary>End-of-sequence ids; may be empty.</summary>
    public required IReadOnlyList<int> EosTokenIds { get; init; }

    /// <summary>How the matrices of the layers are stored; null: unquantised.</summary>
    public QuantizationConfig? Quantization { get; init; }

    /// <summary>The longest context, as vLLM derives it.</summary>
    public abstract long MaxModelLength { get; }

    /// <summary>Layers of multi-token prediction that the checkpoint has behind the last one.</summary>
    public virtual int PredictionLayers => 0;

    /// <summary>
    /// Elements that live at once for every token of a step, in the widest moment of a layer: for the estimate of the memory.
    /// </summary>
    public abstract long ActivationElements { get; }

    /// <summary>
    /// Of <see cref="ActivationElements"/> those for each token of another data-parallel group, which this rank's experts compute too.
    /// </summary>
    public virtual long ExpertElements => 0;

    /// <summary>Bytes that a CPU's kernels keep beside them.</summary>
    /// <param name="stepTokens">Tokens of the largest step, of all data-parallel groups.</param>
    /// <param name="elementBytes">Of an activation.</param>
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
