namespace LocalLlm.Extensions.AI;

/// <summary>
/// Options of <c>AddLocalLlmEmbeddings</c>. They are also read from the configuration section <c>LocalLlmEmbeddings</c>, or
/// <c>LocalLlmEmbeddings:KEY</c> for a keyed model.
/// </summary>
public sealed class LocalLlmEmbeddingsOptions : IModelOptions
{
    /// <summary>The configuration section.</summary>
    public const string SectionName = "LocalLlmEmbeddings";

    /// <summary>The model: a folder, or a repository of a hub as <c>org/name</c>.</summary>
    public string ModelPath { get; set; } = "";

    /// <summary>The name that clients see; null: the name of the repository or folder.</summary>
    public string? ModelId { get; set; }

    /// <summary><c>auto</c>, <c>float32</c>, <c>bfloat16</c> or <c>float16</c>.</summary>
    public string Dtype { get; set; } = "auto";

    /// <summary>
    /// Where the weights come from: <c>auto</c>, <c>safetensors</c>, or <c>dummy</c> (random weights, for benchmarks); see
    /// <see cref="EngineOptions.LoadFormat"/>.
    /// </summary>
    public string LoadFormat { get; set; } = "auto";

    /// <summary><c>auto</c> (a GPU where one can be used), <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</summary>
    public string Device { get; set; } = "auto";

    /// <summary>Number of devices that every layer is split over.</summary>
    public int TensorParallel { get; set; } = 1;

    /// <summary>
    /// The device of each rank, such as <c>cuda:2</c> to keep clear of another model's devices; null: the first devices of
    /// <see cref="Device"/>'s kind.
    /// </summary>
    public IList<string>? Devices { get; set; }

    /// <summary>
    /// Maximum number of tokens in one step, over all texts; null: 8,192 on a GPU (32,768 with at least 70 GiB of memory), else 2,048.
    /// </summary>
    public int? MaxBatchedTokens { get; set; }

    /// <summary>
    /// Whether the host starts while the model still loads. Requests, instead of the host's start, then report a failure to load.
    /// </summary>
    public bool LoadInBackground { get; set; }

    /// <summary>Sets any further engine option.</summary>
    public Func<EngineOptions, EngineOptions>? ConfigureEngine { get; set; }

    EngineOptions IModelOptions.ToEngineOptions() => ToEngineOptions();

    void IModelOptions.Validate() => EngineOptionsValidator.ValidateEncoder(ToEngineOptions());

    internal EngineOptions ToEngineOptions()
    {
        var options = new EngineOptions
        {
            ModelPath = ModelPath,
            ServedModelName = ModelId,
            Dtype = Dtype,
            LoadFormat = LoadFormat,
            Device = Device,
            TensorParallel = TensorParallel,
            Devices = Devices is null ? null : [.. Devices],
            MaxNumBatchedTokens = MaxBatchedTokens,
        };
        return ConfigureEngine is null ? options : ConfigureEngine(options);
    }
}
