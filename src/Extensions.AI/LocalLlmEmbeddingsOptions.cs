namespace LocalLlm.Extensions.AI;

/// <summary>
/// What <c>AddLocalLlmEmbeddings</c> configures, also from the configuration section <c>LocalLlmEmbeddings</c> (with a key
/// <c>LocalLlmEmbeddings:KEY</c>).
/// </summary>
public sealed class LocalLlmEmbeddingsOptions : IModelOptions
{
    /// <summary>The configuration section.</summary>
    public const string SectionName = "LocalLlmEmbeddings";

    /// <summary>The model: a folder, or <c>org/name</c> of a hub.</summary>
    public string ModelPath { get; set; } = "";

    /// <summary>The name that clients see; null: the repository's or the folder's.</summary>
    public string? ModelId { get; set; }

    /// <summary><c>auto</c>, <c>float32</c>, <c>bfloat16</c> or <c>float16</c>.</summary>
    public string Dtype { get; set; } = "auto";

    /// <summary>
    /// Where the weights come from: <c>auto</c>, <c>safetensors</c>, or <c>dummy</c> (random ones, for benchmarks); see
    /// <see cref="EngineOptions.LoadFormat"/>.
    /// </summary>
    public string LoadFormat { get; set; } = "auto";

    /// <summary><c>auto</c> (a GPU where one can be used), <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</summary>
    public string Device { get; set; } = "auto";

    /// <summary>Devices that every layer is split over.</summary>
    public int TensorParallel { get; set; } = 1;

    /// <summary>
    /// A device for each rank, such as <c>cuda:2</c> for a model beside another one; null: the first ones of <see cref="Device"/>'s kind.
    /// </summary>
    public IList<string>? Devices { get; set; }

    /// <summary>
    /// Most tokens computed in one step, of all texts together; null: 8,192 on a GPU (32,768 from 70 GiB of memory on), else 2,048.
    /// </summary>
    public int? MaxBatchedTokens { get; set; }

    /// <summary>
    /// Whether the host starts while the model still loads; a failure to load is then told by requests instead of by the host's start.
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
