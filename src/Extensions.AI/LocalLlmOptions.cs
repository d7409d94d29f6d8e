namespace LocalLlm.Extensions.AI;

/// <summary>
/// Options of <c>AddLocalLlm</c>: the model and the most common engine options. They are also read from the configuration section
/// <c>LocalLlm</c>, or <c>LocalLlm:KEY</c> for a keyed engine. <see cref="ConfigureEngine"/> sets all other engine options.
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

    /// <summary>
    /// The hub of a repository: <c>auto</c>, <c>huggingface</c> or <c>modelscope</c>; see <see cref="EngineOptions.Hub"/>.
    /// </summary>
    public string Hub { get; set; } = "auto";

    /// <summary>A branch, a tag or a commit of the repository; null: the default branch.</summary>
    public string? Revision { get; set; }

    /// <summary>The cache folder that repositories are downloaded to; null: the hub's default cache.</summary>
    public string? DownloadDir { get; set; }

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

    /// <summary>Number of pipeline stages that the layers are split over, each on <see cref="TensorParallel"/> devices.</summary>
    public int PipelineParallel { get; set; } = 1;

    /// <summary>
    /// Number of device groups that each compute attention for their own requests and share the model's experts; see
    /// <see cref="EngineOptions.DataParallel"/>.
    /// </summary>
    public int DataParallel { get; set; } = 1;

    /// <summary>
    /// Places whole experts on devices instead of splitting every expert over them; see <see cref="EngineOptions.EnableExpertParallel"/>.
    /// </summary>
    public bool EnableExpertParallel { get; set; }

    /// <summary>
    /// Number of hosts that the devices belong to. Each host runs this program with its own <see cref="NodeRank"/>. More than one host
    /// needs <c>AddLocalLlmCluster</c> of the package LocalLlm.Cluster.
    /// </summary>
    public int Nodes { get; set; } = 1;

    /// <summary>
    /// The index of this host, from 0. On nodes above 0 the application computes for node 0, and its chat clients refuse requests.
    /// </summary>
    public int NodeRank { get; set; }

    /// <summary>The name or address of node 0; see <see cref="EngineOptions.MasterAddress"/>.</summary>
    public string MasterAddress { get; set; } = "127.0.0.1";

    /// <summary>The port on which node 0 listens for the other nodes.</summary>
    public int MasterPort { get; set; } = 29501;

    /// <summary>Creates the transport between nodes; <c>AddLocalLlmCluster</c> sets it.</summary>
    public Func<EngineOptions, INodeTransport>? NodeTransport { get; set; }

    /// <summary>
    /// The device of each rank, such as <c>cuda:0</c> and <c>cuda:1</c>; null: the first devices of <see cref="Device"/>'s kind.
    /// </summary>
    public IList<string>? Devices { get; set; }

    /// <summary>Maximum number of tokens of prompt and response together; null: as many as the model supports and memory holds.</summary>
    public int? MaxModelLength { get; set; }

    /// <summary>Maximum number of requests that run at once, per data-parallel group; null: 256.</summary>
    public int? MaxBatchSize { get; set; }

    /// <summary>Drafts tokens and verifies several in one step; null: off. See <see cref="EngineOptions.Speculation"/>.</summary>
    public SpeculationOptions? Speculation { get; set; }

    /// <summary>
    /// Whether a response is independent of the requests that run beside it; on CPUs only. See <see cref="EngineOptions.BatchInvariant"/>.
    /// </summary>
    public bool BatchInvariant { get; set; }

    /// <summary>The format in which the model writes tool calls; see <see cref="EngineOptions.ToolCallParser"/>.</summary>
    public string ToolCallParser { get; set; } = "auto";

    /// <summary>Whether the engine generates one token when the host starts, to have everything ready for the first request.</summary>
    public bool WarmUp { get; set; } = true;

    /// <summary>
    /// Whether the host starts while the model still loads. Requests then wait for the model. Requests and the health check, instead of the
    /// host's start, report a failure to load.
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
