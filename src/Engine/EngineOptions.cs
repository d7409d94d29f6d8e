using LocalLlm.Execution;
using LocalLlm.Sampling;
using Microsoft.Extensions.Logging;

namespace LocalLlm;

/// <summary>
/// What an engine is loaded with: vLLM's engine arguments in .NET case. The untrusted type; <c>LlmEngine.LoadAsync</c> checks it whole.
/// </summary>
public sealed record EngineOptions
{
    /// <summary>
    /// The model's folder (config.json, *.safetensors, tokenizer.json), or a repository as <c>org/name</c> or <c>org/name@revision</c>,
    /// which is downloaded when it is not in the cache. A folder that exists wins.
    /// </summary>
    public string ModelPath { get; init; } = "";

    /// <summary>
    /// Where a repository is: <c>auto</c> (ModelScope if <c>LOCALLLM_USE_MODELSCOPE</c> or <c>VLLM_USE_MODELSCOPE</c> says so, else Hugging
    /// Face), <c>huggingface</c> or <c>modelscope</c>.
    /// </summary>
    public string Hub { get; init; } = "auto";

    /// <summary>A branch, a tag or a commit of the repository; null: the default branch.</summary>
    public string? Revision { get; init; }

    /// <summary>
    /// The cache that repositories are downloaded to, instead of the hub's own (<c>HF_HOME</c>, <c>HF_HUB_CACHE</c>,
    /// <c>MODELSCOPE_CACHE</c>).
    /// </summary>
    public string? DownloadDir { get; init; }

    /// <summary>A folder or repository with other tokenizer files than the model's own, or null.</summary>
    public string? TokenizerPath { get; init; }

    /// <summary>The name that clients call the model; null: the repository's <c>org/name</c>, or the folder's name.</summary>
    public string? ServedModelName { get; init; }

    /// <summary>
    /// <c>auto</c> (the checkpoint's own), <c>float32</c>, <c>bfloat16</c> or <c>float16</c> (<c>float</c>, <c>half</c> are read too).
    /// </summary>
    public string Dtype { get; init; } = "auto";

    /// <summary>
    /// Where the weights come from: <c>auto</c> (*.safetensors, or pytorch_model.bin where there are none), <c>safetensors</c> (those
    /// alone), or <c>dummy</c> (random ones, made on the device, for benchmarks: the folder needs config.json alone, and tokenizer files
    /// unless <see cref="SkipTokenizerInit"/>).
    /// </summary>
    public string LoadFormat { get; init; } = "auto";

    /// <summary><c>auto</c> (the first GPU where one can be used, else the CPU), <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</summary>
    public string Device { get; init; } = "auto";

    /// <summary>
    /// The architecture that a GPU's kernels are compiled for, as nvcc numbers it: 75 (Turing), 80 or 86 (Ampere), 89 (Ada), 90 (Hopper);
    /// null: what <c>LOCALLLM_CUDA_ARCH</c> says, else the card's own. An older one than the card's is what that older card would compute:
    /// to try it where there is none. One that is newer than the card is refused.
    /// </summary>
    public int? CudaArch { get; init; }

    /// <summary>Ranks that every layer is split over.</summary>
    public int TensorParallel { get; init; } = 1;

    /// <summary>Stages that the layers are split over.</summary>
    public int PipelineParallel { get; init; } = 1;

    /// <summary>
    /// Groups of <see cref="TensorParallel"/> ranks in each stage that compute attention for sequences of their own, with a KV cache of
    /// their own, and share the routed experts of the stage (vLLM's <c>data_parallel_size</c> of a model with experts). Limits such as
    /// <see cref="MaxNumSeqs"/> are for each group. Refused where the model has no experts.
    /// </summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>
    /// Spreads whole experts over the ranks of a stage, those of all <see cref="DataParallel"/> groups, instead of a part of every expert.
    /// Refused where the model has none.
    /// </summary>
    public bool EnableExpertParallel { get; init; }

    /// <summary>
    /// Holds the busiest experts several times, and moves experts so that ranks compute about as much (vLLM's <c>enable_eplb</c> and
    /// <c>eplb_config</c>); null: every expert exists once, and stays where it is. Needs <see cref="EnableExpertParallel"/> and several
    /// ranks in a stage, of one process. In float32, too, the last bits of an answer then depend on where experts are and on what else
    /// runs, so that it is refused beside <see cref="BatchInvariant"/>. Each rank has memory to copy its experts of one layer, and the time
    /// of a move counts as the step's before it (<see cref="StepTimeout"/>).
    /// </summary>
    public ExpertBalancingOptions? ExpertBalancing { get; init; }

    /// <summary>
    /// What runs the ranks of this host: <c>auto</c> and <c>threads</c> (threads of this process; vLLM's <c>mp</c> and <c>uni</c>), or
    /// <c>processes</c> (a process for each rank of this host: connected by MPI on CPUs, by NCCL on GPUs, of which each has one).
    /// </summary>
    public string DistributedExecutorBackend { get; init; } = "auto";

    /// <summary>Hosts that the ranks are spread over, each started with the same options but for <see cref="NodeRank"/>.</summary>
    public int Nodes { get; init; } = 1;

    /// <summary>
    /// Which of them this is, from 0. Node 0 takes requests (<see cref="LlmEngine"/>), the others only compute (<see cref="EngineNode"/>).
    /// </summary>
    public int NodeRank { get; init; }

    /// <summary>The name or address of node 0, where it listens for the others; it should belong to a network of the nodes' own.</summary>
    public string MasterAddress { get; init; } = "127.0.0.1";

    /// <summary>The port that node 0 listens on for the others.</summary>
    public int MasterPort { get; init; } = 29501;

    /// <summary>How long nodes wait for one another at the start.</summary>
    public TimeSpan NodeJoinTimeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How often nodes tell each other that they are there; one that misses three is lost.</summary>
    public TimeSpan NodeHeartbeat { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Creates what nodes and processes reach each other by, owned by the engine or node that it is created for; null: there is none. The
    /// package LocalLlm.Cluster has one over gRPC. It is given that process's options. Where each rank has a process and no devices are
    /// listed, the process with the engine loop, which starts the others, gives <see cref="Device"/> as <c>cpu</c> or <c>cuda</c> also
    /// where it was <c>auto</c> or named one GPU.
    /// </summary>
    public Func<EngineOptions, INodeTransport>? NodeTransport { get; init; }

    /// <summary>Whether no weights are read.</summary>
    internal bool UsesDummyWeights => LoadFormat == "dummy";

    /// <summary>A value of <see cref="DistributedExecutorBackend"/>.</summary>
    internal const string Processes = "processes";

    /// <summary>Whether each rank has a process of its own.</summary>
    internal bool UsesProcesses => DistributedExecutorBackend == Processes;

    /// <summary>
    /// The devices of this host's ranks in their order, such as <c>cuda:0</c>, <c>cuda:1</c>; null: the first ones of the kind that
    /// <see cref="Device"/> names.
    /// </summary>
    public IReadOnlyList<string>? Devices { get; init; }

    /// <summary>
    /// Layers of each stage, which add up to the model's (vLLM's <c>VLLM_PP_LAYER_PARTITION</c>); null: so that the fullest stage is as
    /// empty as it can be.
    /// </summary>
    public IReadOnlyList<int>? PipelineLayers { get; init; }

    /// <summary>Most tokens of prompt and output together; null: the model's own length, or less where the KV cache is smaller.</summary>
    public int? MaxModelLen { get; init; }

    /// <summary>
    /// Most sequences that run at once, in each data-parallel group; null: 256, or <see cref="MaxNumBatchedTokens"/> where that is less.
    /// </summary>
    public int? MaxNumSeqs { get; init; }

    /// <summary>
    /// Most tokens computed in one step, in each data-parallel group; null: 2,048, or where a GPU embeds 8,192 (32,768 from 70 GiB of
    /// memory on).
    /// </summary>
    public int? MaxNumBatchedTokens { get; init; }

    /// <summary>Most tokens of a step of generation.</summary>
    internal int StepTokens => MaxNumBatchedTokens ?? EngineOptionsDefaults.MaxNumBatchedTokens;

    /// <summary>Max number of sequences that run at once: as given, or as many as a step has room for.</summary>
    internal int RunningSequences => MaxNumSeqs ?? Math.Min(EngineOptionsDefaults.MaxNumSeqs, StepTokens);

    /// <summary>Most tokens of one sequence's prompt in one step; 0: as many as fit <see cref="MaxNumBatchedTokens"/>.</summary>
    public int LongPrefillTokenThreshold { get; init; }

    /// <summary>
    /// Admits a request only if the free KV blocks hold its whole prompt beside the rest of those already admitted (vLLM's
    /// <c>scheduler_reserve_full_isl</c>). False: only its first chunk must fit, and requests admitted in haste preempt one another.
    /// </summary>
    public bool SchedulerReserveFullIsl { get; init; } = true;

    /// <summary>Share of the KV blocks that admission leaves free for the growth of running requests; 0 up to, not including, 1.</summary>
    public double Watermark { get; init; }

    /// <summary>False: a prompt is computed in one step or not at all.</summary>
    public bool EnableChunkedPrefill { get; init; } = true;

    /// <summary>Keeps computed blocks for later prompts with the same beginning.</summary>
    public bool EnablePrefixCaching { get; init; } = true;

    /// <summary>
    /// Share of the device's memory for the engine, above 0, at most 1; null: 0.92 of a GPU, 0.5 of what is free on a CPU, which the host
    /// application shares.
    /// </summary>
    public double? GpuMemoryUtilization { get; init; }

    /// <summary>
    /// Bytes that the memory of each GPU counts as, instead of all that it has, so that the engine finds what it would find on a smaller
    /// card; null: all. What is beyond is set aside while the engine lives, and nothing else can use it. More than a GPU has is refused.
    /// </summary>
    public long? GpuMemoryBytes { get; init; }

    /// <summary>On a GPU: never records steps as CUDA graphs; slower, and quicker to load.</summary>
    public bool EnforceEager { get; init; }

    /// <summary>
    /// Bytes for the KV cache of each rank, and so for each data-parallel group, instead of <see cref="GpuMemoryUtilization"/>.
    /// </summary>
    public long? KvCacheMemoryBytes { get; init; }

    /// <summary>
    /// Number of KV blocks of each data-parallel group, instead of a size in bytes (vLLM's <c>num_gpu_blocks_override</c>).
    /// </summary>
    public int? NumGpuBlocksOverride { get; init; }

    /// <summary>
    /// How the KV cache keeps its elements: <c>auto</c> (in the type of the computation), <c>fp8</c> or <c>fp8_e4m3</c> (8-bit floats with
    /// a scale for every token and head, or for its latent vector: half of bfloat16's memory, and other last digits of every answer).
    /// </summary>
    public string KvCacheDtype { get; init; } = "auto";

    /// <summary>
    /// A request's tokens and log-probabilities do not depend on what runs beside it, in any type: every row is added up in one order,
    /// whatever the number of rows, chunks, cached prefixes, preemption and threads. In float32 on CPUs they never do; this makes it so in
    /// bfloat16 and with 8-bit floats. Of CPUs only, and not beside <see cref="ExpertBalancing"/>.
    /// </summary>
    public bool BatchInvariant { get; init; }

    /// <summary>
    /// Says once more how the checkpoint stores its weights, as vLLM's scripts do: <c>fp8</c> beside one in 8-bit floats. Null: as it
    /// stores them. Anything else is refused: nothing is quantised here.
    /// </summary>
    public string? Quantization { get; init; }

    /// <summary>Requests that may wait; one more is refused as <see cref="EngineErrorKind.Overloaded"/>. 0: no limit.</summary>
    public int MaxWaitingRequests { get; init; }

    /// <summary>Which request runs first.</summary>
    public SchedulingPolicy SchedulingPolicy { get; init; } = SchedulingPolicy.Fcfs;

    /// <summary>
    /// Drafts tokens and verifies several in one step (vLLM's <c>speculative_config</c>), faster where drafts are right; the output is
    /// identical in float32 on CPUs (without <see cref="ExpertBalancing"/>) and under <see cref="BatchInvariant"/>, elsewhere up to
    /// rounding. Null: off.
    /// </summary>
    public SpeculationOptions? Speculation { get; init; }

    /// <summary>
    /// Max number of drafts of all sequences of a step: one for each that may run, at least all of one. Where many run, their steps have no
    /// time to give away.
    /// </summary>
    internal int StepDrafts => Speculation?.NumSpeculativeTokens is { } drafts ? Math.Max(drafts, RunningSequences) : 0;

    /// <summary>Most rows of logits of a step: a sequence's next token, and one after each draft.</summary>
    internal int SampledRows => (int)Math.Min(StepTokens, (long)RunningSequences + StepDrafts);

    /// <summary>
    /// The longest that one step may take; then the engine counts as dead, and every request ends with
    /// <see cref="EngineErrorKind.EngineDead"/>. Null: on GPUs and with several processes 100 times the longest step of about as many
    /// tokens so far (the same power of two), at least 30 seconds and at most 5 minutes, and 5 minutes for the first three of a size; any
    /// time on the CPU of one process. A step after which experts are moved (<see cref="ExpertBalancing"/>) takes as long as both together.
    /// </summary>
    public TimeSpan? StepTimeout { get; init; }

    /// <summary>Runs without a tokenizer: prompts are token ids and no text comes back.</summary>
    public bool SkipTokenizerInit { get; init; }

    /// <summary>A chat template instead of the model's own: a file, or the template itself.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>
    /// How the model writes calls of tools: <c>auto</c> (told from its template and kind), <c>deepseek_v3</c>, <c>deepseek_v31</c>,
    /// <c>hermes</c> or <c>llama3_json</c>.
    /// </summary>
    public string ToolCallParser { get; init; } = "auto";

    /// <summary>
    /// What tells the model about tools where its own template has no place for them, instead of the engine's own text: a file, or the
    /// Jinja template itself, over <c>tools</c>.
    /// </summary>
    public string? ToolPrompt { get; init; }

    /// <summary>
    /// Whether the system message of a chat that asks for structured output ends with a description of the structure (the JSON schema,
    /// say). A request can say otherwise: <see cref="SamplingParams.DescribeStructuredOutputs"/>.
    /// </summary>
    public bool DescribeStructuredOutputs { get; init; } = true;

    /// <summary>
    /// Whether text between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c> is a thought: <c>auto</c> (if the tokenizer or template knows
    /// the tags), <c>none</c>, or a name of vLLM's for such models (<c>deepseek_r1</c>, <c>deepseek_v3</c>, <c>qwen3</c>).
    /// </summary>
    public string ReasoningParser { get; init; } = "auto";

    /// <summary><c>auto</c>: sampling defaults from the model's generation_config.json; <c>vllm</c>: none.</summary>
    public string GenerationConfig { get; init; } = "auto";

    /// <summary>Most log-probabilities per position; -1: no limit.</summary>
    public int MaxLogprobs { get; init; } = 20;

    /// <summary>What log-probabilities are taken from.</summary>
    public LogprobsMode LogprobsMode { get; init; } = LogprobsMode.RawLogprobs;

    /// <summary>Seed of requests that name none; null: a new one for every request.</summary>
    public long? Seed { get; init; }

    /// <summary>
    /// CPU threads; 0: as many as the process has cores (those that it may run on, each once, and no more than its control group's quota).
    /// </summary>
    public int NumThreads { get; init; }

    /// <summary>
    /// On a CPU: each thread that helps a rank's own to compute stays on a core of its own, those of several ranks side by side; the rank's
    /// own thread is not bound, and finds the core that they leave. Where a rank has one thread there is nothing to pin, which is logged.
    /// For machines that the engine has to itself, with several sockets above all; beside other programs the system's choice is better.
    /// </summary>
    public bool PinThreads { get; init; }

    /// <summary>How long disposing the engine lets running requests finish before it aborts them; zero: they are aborted at once.</summary>
    public TimeSpan DrainTimeout { get; init; }

    /// <summary>Where the engine logs (category <c>LocalLlm.Engine</c>); null: nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }

    /// <summary>A folder with libtorch instead of the bundled one (also <c>LOCALLLM_LIBTORCH</c>).</summary>
    public string? LibTorchPath { get; init; }

    /// <summary>The environment that hubs are configured by; null: this process's.</summary>
    public Func<string, string?>? HubVariables { get; init; }

    /// <summary>Creates what runs the steps.</summary>
    internal IStepExecutorFactory ExecutorFactory { get; init; } = StepExecutorFactory.Default;

    /// <summary>Puts another executor of an encoder in the place of the device's; null: none.</summary>
    internal Func<IEncoderExecutor, IEncoderExecutor>? DecorateEncoder { get; init; }

    /// <summary>
    /// The scope of the engine's meter (<see cref="LlmEngine.DiagnosticsName"/>), by which a listener knows one engine's instruments from
    /// another's; null: none.
    /// </summary>
    public object? MeterScope { get; init; }
}
