namespace LocalLlm.Extensions.AI;

/// <summary>
/// What <c>AddLocalLlm</c> configures: the model and the most common engine options, also from the configuration section <c>LocalLlm</c>
/// (of a keyed engine <c>LocalLlm:KEY</c>). Everything else is in <see cref="ConfigureEngine"/>.
/// </summary>
public sealed class LocalLlmOptions : IModelOptions
{
    /// <summary>The configuration section.</summary>
    public const string SectionName = "LocalLlm";

    /// <summary>
    /// The model's folder (config.json, *.safetensors, tokenizer.json), or a repository as <c>org/name</c>; see
    /// <see cref="EngineOptions.ModelPath"/>.
    /// </summary>
    public string ModelPath { get; set; } = "";

    /// <summary>Where a repository is: <c>auto</c>, <c>huggingface</c> or <c>modelscope</c>; see <see cref="EngineOptions.Hub"/>.</summary>
    public string Hub { get; set; } = "auto";

    /// <summary>A branch, a tag or a commit of the repository; null: the default branch.</summary>
    public string? Revision { get; set; }

    /// <summary>The cache that repositories are downloaded to; null: the hub's own.</summary>
    public string? DownloadDir { get; set; }

    /// <summary>The name that clients see; null: the repository's, or the folder's name.</summary>
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

    /// <summary>Stages that the layers are split over, each on <see cref="TensorParallel"/> devices.</summary>
    public int PipelineParallel { get; set; } = 1;

    /// <summary>
    /// Groups of devices that compute attention for requests of their own and share the model's experts; see
    /// <see cref="EngineOptions.DataParallel"/>.
    /// </summary>
    public int DataParallel { get; set; } = 1;

    /// <summary>
    /// Spreads whole experts over the devices instead of a part of every expert; see <see cref="EngineOptions.EnableExpertParallel"/>.
    /// </summary>
    public bool EnableExpertParallel { get; set; }

    /// <summary>
    /// Hosts that the devices belong to; each runs this program, with its own <see cref="NodeRank"/>. More than one needs
    /// <c>AddLocalLlmCluster</c> of the package LocalLlm.Cluster.
    /// </summary>
    public int Nodes { get; set; } = 1;

    /// <summary>
    /// Which of the hosts this is, from 0. On those above 0 the application's host computes for node 0, and the clients refuse.
    /// </summary>
    public int NodeRank { get; set; }

    /// <summary>The name or address of node 0; see <see cref="EngineOptions.MasterAddress"/>.</summary>
    public string MasterAddress { get; set; } = "127.0.0.1";

    /// <summary>The port on which node 0 listens for the others.</summary>
    public int MasterPort { get; set; } = 29501;

    /// <summary>How nodes reach each other; <c>AddLocalLlmCluster</c> sets it.</summary>
    public Func<EngineOptions, INodeTransport>? NodeTransport { get; set; }

    /// <summary>
    /// A device for each rank, such as <c>cuda:0</c> and <c>cuda:1</c>; null: the first ones of <see cref="Device"/>'s kind.
    /// </summary>
    public IList<string>? Devices { get; set; }

    /// <summary>Most tokens of prompt and answer together; null: what the model knows and memory holds.</summary>
    public int? MaxModelLength { get; set; }

    /// <summary>Most requests that run at once, in each data-parallel group; null: 256.</summary>
    public int? MaxBatchSize { get; set; }

    /// <summary>Drafts tokens and verifies several in one step; null: off. See <see cref="EngineOptions.Speculation"/>.</summary>
    public SpeculationOptions? Speculation { get; set; }

    /// <summary>
    /// A request's answer does not depend on what runs beside it; on CPUs. See <see cref="EngineOptions.BatchInvariant"/>.
    /// </summary>
    public bool BatchInvariant { get; set; }

    /// <summary>How the model writes calls of tools; see <see cref="EngineOptions.ToolCallParser"/>.</summary>
    public string ToolCallParser { get; set; } = "auto";

    /// <summary>Whether a token is made when the host starts, so that the first request finds everything ready.</summary>
    public bool WarmUp { get; set; } = true;

    /// <summary>
    /// Whether the host starts while the model still loads: requests wait for it, and they and the health check report a failure to load
    /// instead of by the host's start.
    /// </summary>
    public bool LoadInBackground { get; set; }

    /// <summary>How long the host's shutdown lets running requests finish.</summary>
    public TimeSpan DrainTimeout { get; set; }

    /// <summary>Sets any further engine option.</summary>
    public Func<EngineOptions, EngineOptions>? ConfigureEngine { get; set; }

    EngineOptions IModelOptions.ToEngineOptions() => ToEngineOptions();

    internal EngineOptions ToEngineOptions()
    {
        var options = new EngineOptions
        {
            ModelPath = ModelPath,
            Hub = Hub,
            Revision = Revision,
            DownloadDir = DownloadDir,
            ServedModelName = ModelId,
            Dtype = Dtype,
            LoadFormat = LoadFormat,
            Device = Device,
            TensorParallel = TensorParallel,
            PipelineParallel = PipelineParallel,
            DataParallel = DataParallel,
            EnableExpertParallel = EnableExpertParallel,
            Nodes = Nodes,
            NodeRank = NodeRank,
            MasterAddress = MasterAddress,
            MasterPort = MasterPort,
            NodeTransport = NodeTransport,
            Devices = Devices is null ? null : [.. Devices],
            MaxModelLen = MaxModelLength,
            MaxNumSeqs = MaxBatchSize,
            Speculation = Speculation,
            BatchInvariant = BatchInvariant,
            ToolCallParser = ToolCallParser,
            DrainTimeout = DrainTimeout,
        };
        return ConfigureEngine is null ? options : ConfigureEngine(options);
    }
}
