using LocalLlm.Execution;
using LocalLlm.Sampling;
using Microsoft.Extensions.Logging;

namespace LocalLlm;

/// <summary>
/// The options to load an engine with: vLLM's engine arguments in .NET case. Untrusted input: <c>LlmEngine.LoadAsync</c> checks all of it.
/// </summary>
public sealed record EngineOptions
{
    /// <summary>
    /// The model's folder (config.json, *.safetensors, tokenizer.json), or a repository as <c>org/name</c> or <c>org/name@revision</c>. A
    /// repository is downloaded unless the cache has it. If a folder of that name exists, the folder is used.
    /// </summary>
    public string ModelPath { get; init; } = "";

    /// <summary>
    /// The hub to download from: <c>huggingface</c>, <c>modelscope</c> or <c>auto</c> (ModelScope if <c>LOCALLLM_USE_MODELSCOPE</c> or
    /// <c>VLLM_USE_MODELSCOPE</c> says so, else Hugging Face).
    /// </summary>
    public string Hub { get; init; } = "auto";

    /// <summary>A branch, a tag or a commit of the repository; null: the default branch.</summary>
    public string? Revision { get; init; }

    /// <summary>
    /// The cache folder for downloaded repositories, instead of the hub's own (<c>HF_HOME</c>, <c>HF_HUB_CACHE</c>,
    /// <c>MODELSCOPE_CACHE</c>).
    /// </summary>
    public string? DownloadDir { get; init; }

    /// <summary>A folder or repository with tokenizer files to use instead of the model's own, or null.</summary>
    public string? TokenizerPath { get; init; }

    /// <summary>The model name that clients use; null: the repository's <c>org/name</c>, or the folder's name.</summary>
    public string? ServedModelName { get; init; }

    /// <summary>
    /// <c>auto</c> (the checkpoint's own), <c>float32</c>, <c>bfloat16</c> or <c>float16</c>; also <c>float</c> and <c>half</c>.
    /// </summary>
    public string Dtype { get; init; } = "auto";

    /// <summary>
    /// Where the weights come from: <c>auto</c> (*.safetensors, or pytorch_model.bin if there are none), <c>safetensors</c> (only those),
    /// or <c>dummy</c> (random weights created on the device, for benchmarks). With <c>dummy</c> the folder needs only config.json, and
    /// the tokenizer files unless <see cref="SkipTokenizerInit"/>.
    /// </summary>
    public string LoadFormat { get; init; } = "auto";

    /// <summary><c>auto</c> (the first GPU if one is usable, else the CPU), <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</summary>
    public string Device { get; init; } = "auto";

    /// <summary>
    /// The architecture to compile a GPU's kernels for, as nvcc numbers it: 75 (Turing), 80 or 86 (Ampere), 89 (Ada), 90 (Hopper).
    /// Null: <c>LOCALLLM_CUDA_ARCH</c>, else the card's own. With an older architecture than the card's, the engine computes what such an
    /// older card would, to test without one. A newer one than the card's is refused.
    /// </summary>
    public int? CudaArch { get; init; }

    /// <summary>Number of ranks that every layer is split over.</summary>
    public int TensorParallel { get; init; } = 1;

    /// <summary>Number of stages that the layers are split over.</summary>
    public int PipelineParallel { get; init; } = 1;

    /// <summary>
    /// Number of data-parallel groups in each stage, of <see cref="TensorParallel"/> ranks each (vLLM's <c>data_parallel_size</c> for a
    /// model with experts). Each group computes attention for sequences of its own, with a KV cache of its own; the groups share the
    /// stage's routed experts. Limits such as <see cref="MaxNumSeqs"/> apply to each group. Refused if the model has no experts.
    /// </summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>
    /// Spreads whole experts over all ranks of a stage, across its <see cref="DataParallel"/> groups, instead of splitting every expert.
    /// Refused if the model has no experts.
    /// </summary>
    public bool EnableExpertParallel { get; init; }

    /// <summary>
    /// Keeps several copies of the busiest experts, and moves experts so that ranks compute about as much (vLLM's <c>enable_eplb</c> and
    /// <c>eplb_config</c>). Null: every expert exists once and stays where it is. Needs <see cref="EnableExpertParallel"/> and several
    /// ranks in a stage, all in one process. Refused with <see cref="BatchInvariant"/>: even in float32, the last bits of a response then
    /// depend on where experts are and on what else runs. Each rank reserves memory for a copy of its experts of one layer. The time of a
    /// move counts as part of the step before it (<see cref="StepTimeout"/>).
    /// </summary>
    public ExpertBalancingOptions? ExpertBalancing { get; init; }

    /// <summary>
    /// What runs the ranks of this host: <c>auto</c> and <c>threads</c> (threads of this process; vLLM's <c>mp</c> and <c>uni</c>), or
    /// <c>processes</c> (one process for each rank, connected by MPI on CPUs, or by NCCL on GPUs with one GPU each).
    /// </summary>
    public string DistributedExecutorBackend { get; init; } = "auto";

    /// <summary>Number of hosts that the ranks are spread over. Each starts with the same options except <see cref="NodeRank"/>.</summary>
    public int Nodes { get; init; } = 1;

    /// <summary>
    /// The rank of this host, from 0. Node 0 takes requests (<see cref="LlmEngine"/>), the others only compute (<see cref="EngineNode"/>).
    /// </summary>
    public int NodeRank { get; init; }

    /// <summary>The name or address where node 0 listens for the other nodes; it should be on a network that only the nodes use.</summary>
    public string MasterAddress { get; init; } = "127.0.0.1";

    /// <summary>The port where node 0 listens for the other nodes.</summary>
    public int MasterPort { get; init; } = 29501;

    /// <summary>How long nodes wait for one another at startup.</summary>
    public TimeSpan NodeJoinTimeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>The heartbeat interval of nodes; a node that misses three heartbeats is lost.</summary>
    public TimeSpan NodeHeartbeat { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Creates the transport between nodes and processes; null: there is none. The engine or node that it is created for owns it. The
    /// package LocalLlm.Cluster has a transport over gRPC. The function gets the options of its own process. In the process with the
    /// engine loop, if it starts one process for each rank and no devices are listed, these options give <see cref="Device"/> as
    /// <c>cpu</c> or <c>cuda</c>, even if it was <c>auto</c> or named one GPU.
    /// </summary>
    public Func<EngineOptions, INodeTransport>? NodeTransport { get; init; }

    /// <summary>Whether the weights are random instead of read from files.</summary>
    internal bool UsesDummyWeights => LoadFormat == "dummy";

    /// <summary>A value of <see cref="DistributedExecutorBackend"/>.</summary>
    internal const string Processes = "processes";

    /// <summary>Whether each rank has a process of its own.</summary>
    internal bool UsesProcesses => DistributedExecutorBackend == Processes;

    /// <summary>
    /// The devices of this host's ranks in rank order, such as <c>cuda:0</c>, <c>cuda:1</c>; null: the first devices of the kind that
    /// <see cref="Device"/> names.
    /// </summary>
    public IReadOnlyList<string>? Devices { get; init; }

    /// <summary>
    /// Number of layers of each stage, which must add up to the model's (vLLM's <c>VLLM_PP_LAYER_PARTITION</c>); null: chosen to minimise
    /// the memory of the fullest stage.
    /// </summary>
    public IReadOnlyList<int>? PipelineLayers { get; init; }

    /// <summary>
    /// Maximum number of tokens of prompt and output together; null: the model's own length, or less if the KV cache is smaller.
    /// </summary>
    public int? MaxModelLen { get; init; }

    /// <summary>
    /// Maximum number of running sequences in each data-parallel group; null: 256, or <see cref="MaxNumBatchedTokens"/> if that is less.
    /// </summary>
    public int? MaxNumSeqs { get; init; }

    /// <summary>
    /// Maximum number of tokens computed in one step of each data-parallel group; null: 2,048, or for an embedding model on a GPU 8,192
    /// (32,768 with at least 70 GiB of memory).
    /// </summary>
    public int? MaxNumBatchedTokens { get; init; }

    /// <summary>Maximum number of tokens of a generation step.</summary>
    internal int StepTokens => MaxNumBatchedTokens ?? EngineOptionsDefaults.MaxNumBatchedTokens;

    /// <summary>Maximum number of running sequences: as given, or as many as a step has room for.</summary>
    internal int RunningSequences => MaxNumSeqs ?? Math.Min(EngineOptionsDefaults.MaxNumSeqs, StepTokens);

    /// <summary>Maximum number of prompt tokens of one sequence in a step; 0: as many as fit <see cref="MaxNumBatchedTokens"/>.</summary>
    public int LongPrefillTokenThreshold { get; init; }

    /// <summary>
    /// Admits a request only if the free KV blocks hold its whole prompt as well as the rest of the prompts already admitted (vLLM's
    /// <c>scheduler_reserve_full_isl</c>). False: only its first chunk must fit, so requests may be admitted too early and preempt one
    /// another.
    /// </summary>
    public bool SchedulerReserveFullIsl { get; init; } = true;

    /// <summary>Share of the KV blocks that admission leaves free for the growth of running requests, from 0 to below 1.</summary>
    public double Watermark { get; init; }

    /// <summary>Whether a prompt may be computed over several steps. False: a prompt must fit into one step.</summary>
    public bool EnableChunkedPrefill { get; init; } = true;

    /// <summary>Keeps computed blocks for later prompts with the same beginning.</summary>
    public bool EnablePrefixCaching { get; init; } = true;

    /// <summary>
    /// Share of the device's memory for the engine, above 0, at most 1. Null: 0.92 of a GPU's memory, or 0.5 of a CPU's free memory,
    /// because the host application needs memory too.
    /// </summary>
    public double? GpuMemoryUtilization { get; init; }

    /// <summary>
    /// Memory in bytes that the engine assumes for each GPU, to emulate a smaller card; null: all that the GPU has. The engine sets the
    /// rest aside while it lives, and nothing else can use it. More than the GPU has is refused.
    /// </summary>
    public long? GpuMemoryBytes { get; init; }

    /// <summary>Never records steps as CUDA graphs on a GPU: steps are slower, loading is faster.</summary>
    public bool EnforceEager { get; init; }

    /// <summary>
    /// Bytes for the KV cache of each rank, and so of each data-parallel group, instead of a share by <see cref="GpuMemoryUtilization"/>.
    /// </summary>
    public long? KvCacheMemoryBytes { get; init; }

    /// <summary>
    /// Number of KV blocks of each data-parallel group, instead of a size in bytes (vLLM's <c>num_gpu_blocks_override</c>).
    /// </summary>
    public int? NumGpuBlocksOverride { get; init; }

    /// <summary>
    /// The element type of the KV cache: <c>auto</c> (the type of the computation), <c>fp8</c> or <c>fp8_e4m3</c> (8-bit floats with a
    /// scale for every token and head, or for every latent vector: half of bfloat16's memory, but the last digits of every result differ).
    /// </summary>
    public string KvCacheDtype { get; init; } = "auto";

    /// <summary>
    /// Makes a request's tokens and log-probabilities independent of what runs beside it, in every data type: every row is summed in one
    /// order, whatever the number of rows, chunks, cached prefixes, preemptions and threads. In float32 on CPUs this always holds; the
    /// option adds bfloat16 and 8-bit floats. Only on CPUs, and not together with <see cref="ExpertBalancing"/>.
    /// </summary>
    public bool BatchInvariant { get; init; }

    /// <summary>
    /// Repeats how the checkpoint stores its weights, for compatibility with vLLM's scripts: <c>fp8</c> for a checkpoint in 8-bit floats.
    /// Null: as stored. Anything else is refused, because the engine does not quantise.
    /// </summary>
    public string? Quantization { get; init; }

    /// <summary>
    /// Maximum number of waiting requests; a further one is refused as <see cref="EngineErrorKind.Overloaded"/>. 0: no limit.
    /// </summary>
    public int MaxWaitingRequests { get; init; }

    /// <summary>Which request runs first.</summary>
    public SchedulingPolicy SchedulingPolicy { get; init; } = SchedulingPolicy.Fcfs;

    /// <summary>
    /// Drafts tokens and verifies several in one step (vLLM's <c>speculative_config</c>), which is faster if drafts are right. The output
    /// is identical in float32 on CPUs (without <see cref="ExpertBalancing"/>) and under <see cref="BatchInvariant"/>, otherwise identical
    /// up to rounding. Null: off.
    /// </summary>
    public SpeculationOptions? Speculation { get; init; }

    /// <summary>
    /// Maximum number of drafts of a step over all sequences: one for each that may run, and at least all of one sequence's. With many
    /// running sequences a step has no spare time for more.
    /// </summary>
    internal int StepDrafts => Speculation?.NumSpeculativeTokens is { } drafts ? Math.Max(drafts, RunningSequences) : 0;

    /// <summary>Maximum number of rows of logits of a step: for each sequence's next token, and one after each draft.</summary>
    internal int SampledRows => (int)Math.Min(StepTokens, (long)RunningSequences + StepDrafts);

    /// <summary>
    /// Time limit of one step. A step that exceeds it makes the engine dead: every request ends with
    /// <see cref="EngineErrorKind.EngineDead"/>. Null: no limit on the CPU of one process. On GPUs and with several processes, 100 times
    /// the longest step so far of about as many tokens (the same power of two), at least 30 seconds and at most 5 minutes, and 5 minutes
    /// for the first three steps of a size. When experts are moved after a step (<see cref="ExpertBalancing"/>), the limit covers the step
    /// and the move together.
    /// </summary>
    public TimeSpan? StepTimeout { get; init; }

    /// <summary>Runs without a tokenizer: prompts are token ids and no text comes back.</summary>
    public bool SkipTokenizerInit { get; init; }

    /// <summary>A chat template instead of the model's own: a file, or the template itself.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>
    /// How the model writes tool calls: <c>auto</c> (detected from its template and kind), <c>deepseek_v3</c>, <c>deepseek_v31</c>,
    /// <c>hermes</c> or <c>llama3_json</c>.
    /// </summary>
    public string ToolCallParser { get; init; } = "auto";

    /// <summary>
    /// The text that describes tools to the model when its own template has no place for them, instead of the engine's own text: a file,
    /// or the Jinja template itself, over <c>tools</c>.
    /// </summary>
    public string? ToolPrompt { get; init; }

    /// <summary>
    /// Whether the engine adds a description of the structure (such as the JSON schema) to the end of the system message of a chat that
    /// asks for structured output. A request can override it: <see cref="SamplingParams.DescribeStructuredOutputs"/>.
    /// </summary>
    public bool DescribeStructuredOutputs { get; init; } = true;

    /// <summary>
    /// Whether text between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c> is reasoning: <c>auto</c> (if the tokenizer or template knows
    /// the tags), <c>none</c>, or one of vLLM's names for such models (<c>deepseek_r1</c>, <c>deepseek_v3</c>, <c>qwen3</c>).
    /// </summary>
    public string ReasoningParser { get; init; } = "auto";

    /// <summary><c>auto</c>: sampling defaults from the model's generation_config.json; <c>vllm</c>: none.</summary>
    public string GenerationConfig { get; init; } = "auto";

    /// <summary>Maximum number of log-probabilities per position; -1: no limit.</summary>
    public int MaxLogprobs { get; init; } = 20;

    /// <summary>What log-probabilities are computed from.</summary>
    public LogprobsMode LogprobsMode { get; init; } = LogprobsMode.RawLogprobs;

    /// <summary>Seed of requests that do not set one; null: a new seed for every request.</summary>
    public long? Seed { get; init; }

    /// <summary>
    /// CPU threads; 0: as many as cores that the process may use (each core counted once, capped by its control group's quota).
    /// </summary>
    public int NumThreads { get; init; }

    /// <summary>
    /// On a CPU, pins each helper thread of a rank to a core of its own, with the threads of several ranks side by side. The rank's own
    /// thread is not pinned and uses the core that they leave. A rank with one thread has nothing to pin, which is logged. Meant for
    /// machines that the engine has to itself, above all those with several sockets; beside other programs the system's own placement is
    /// better.
    /// </summary>
    public bool PinThreads { get; init; }

    /// <summary>How long disposing the engine lets running requests finish before it aborts them; zero: it aborts them at once.</summary>
    public TimeSpan DrainTimeout { get; init; }

    /// <summary>Where the engine logs (category <c>LocalLlm.Engine</c>); null: nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }

    /// <summary>A folder with libtorch instead of the bundled one (also <c>LOCALLLM_LIBTORCH</c>).</summary>
    public string? LibTorchPath { get; init; }

    /// <summary>Reads the environment variables that configure hubs; null: this process's.</summary>
    public Func<string, string?>? HubVariables { get; init; }

    /// <summary>Creates the executor.</summary>
    internal IStepExecutorFactory ExecutorFactory { get; init; } = StepExecutorFactory.Default;

    /// <summary>Replaces an encoder's executor by another one; null: the device's own.</summary>
    internal Func<IEncoderExecutor, IEncoderExecutor>? DecorateEncoder { get; init; }

    /// <summary>
    /// The scope of the engine's meter (<see cref="LlmEngine.DiagnosticsName"/>). It lets a listener tell the instruments of several
    /// engines apart; null: none.
    /// </summary>
    public object? MeterScope { get; init; }
}
