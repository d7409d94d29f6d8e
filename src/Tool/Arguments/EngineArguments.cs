using System.CommandLine;
using LocalLlm.Requests;
using LocalLlm.Sampling;

namespace LocalLlm.Tool.Arguments;

/// <summary>The options for loading an engine, with the names of <c>vllm serve</c>.</summary>
internal sealed class EngineArguments
{
    private readonly Option<string?> _model = Options.Text(
        "--model",
        "The model: a folder with config.json, *.safetensors and tokenizer.json, or org/name of a hub, which is downloaded when needed.",
        "DIR|ORG/NAME");
    private readonly HubArguments _hub = new();
    private readonly Option<string?> _tokenizer = Options.Text(
        "--tokenizer",
        "A folder or org/name with other tokenizer files than the model's own.",
        "DIR|ORG/NAME");
    private readonly Option<string[]> _servedModelName;
    private readonly Option<string?> _dtype = Options.Text(
        "--dtype",
        "auto (the checkpoint's own; default), float32, bfloat16 or float16.",
        "TYPE");
    private readonly Option<string?> _device = Options.Text("--device", "auto (default: a GPU where one can be used), cpu, cuda or cuda:N.", "NAME");
    private readonly Option<int?> _cudaArch = Options.Count(
        "--cuda-arch",
        "The architecture that a GPU's kernels are compiled for: 75 (Turing), 80 or 86 (Ampere), 89 (Ada), 90 (Hopper); default: the card's own. "
        + "An older one computes as that card would. (Not an option of vLLM's.)");
    private readonly Option<int?> _tensorParallel = Options.Count(
        "--tensor-parallel-size",
        "Devices that every layer is split over; default 1.",
        "-tp");
    private readonly Option<int?> _pipelineParallel = Options.Count(
        "--pipeline-parallel-size",
        "Stages that the layers are split over; default 1.",
        "-pp");
    private readonly Option<int?> _dataParallel = Options.Count(
        "--data-parallel-size",
        "Groups of devices that compute attention for sequences of their own and share a model's experts; default 1.",
        "-dp");
    private readonly Option<bool> _expertParallel = Options.Flag(
        "--enable-expert-parallel",
        "Spreads whole experts over the devices of a stage instead of a part of every expert.");
    private readonly Option<bool> _balancing = Options.Flag(
        "--enable-eplb",
        "Holds the busiest experts several times, and moves experts so that devices compute about as much; with --enable-expert-parallel. A move counts as part of a step (--step-timeout).");
    private readonly Option<string?> _balancingConfig = Options.Text(
        "--eplb-config",
        """How, such as {"num_redundant_experts":32,"window_size":1000,"step_interval":3000}; default: no copies, the last 1000 of every 3000 steps.""",
        "JSON");
    private readonly Option<string?> _devices = Options.Text(
        "--devices",
        "The devices of this machine's ranks in their order, such as cuda:0,cuda:1; default: the first ones. (Not an option of vLLM's.)",
        "NAME,...");
    private readonly Option<IReadOnlyList<int>?> _pipelineLayers = Options.Counts(
        "--pipeline-layers",
        "Layers of each stage, such as 14,13,13; default: the division that leaves most room on the fullest stage (vLLM's VLLM_PP_LAYER_PARTITION).");
    private readonly Option<int?> _maxModelLen;
    private readonly Option<int?> _maxNumSeqs = Options.Count("--max-num-seqs", "Most sequences that run at once, in each data-parallel group; default 256.");
    private readonly Option<int?> _maxNumBatchedTokens;
    private readonly Option<int?> _longPrefillTokenThreshold = Options.Count(
        "--long-prefill-token-threshold",
        "Most tokens of one prompt in one step; default 0: no limit of its own.");
    private readonly Switch _chunkedPrefill = new("enable-chunked-prefill", "Computes long prompts in several steps (default).");
    private readonly Switch _prefixCaching = new(
        "enable-prefix-caching",
        "Keeps computed blocks for later prompts with the same beginning (default).");
    private readonly Option<int?> _blockSize = Options.Count("--block-size", "Tokens per KV block; only 16.");
    private readonly Option<double?> _gpuMemoryUtilization = Options.Number(
        "--gpu-memory-utilization",
        "Share of the device's memory to use, above 0, at most 1; default: 0.92 of a GPU, 0.5 of what is free on a CPU.");
    private readonly Option<long?> _gpuMemory = Options.Memory(
        "--gpu-memory",
        "What the memory of each GPU counts as, such as 14.6GiB; default: all of it. What is beyond is set aside. (Not an option of vLLM's.)");
    private readonly Option<bool> _enforceEager = Options.Flag("--enforce-eager", "On a GPU: never records steps as CUDA graphs.");
    private readonly Option<string?> _kvCacheDtype = Options.Text(
        "--kv-cache-dtype",
        "auto (the type of the computation; default), fp8 or fp8_e4m3 (8-bit floats with a scale for each token and head).",
        "TYPE");
    private readonly Option<bool> _batchInvariant = Options.Flag(
        "--batch-invariant",
        "A request's tokens and log-probabilities do not depend on the other requests in the batch; on CPUs, without --enable-eplb. (vLLM's VLLM_BATCH_INVARIANT.)");
    private readonly Option<string?> _quantization = Options.Text(
        "--quantization",
        "none (default), or fp8 beside a checkpoint in 8-bit floats, which is loaded as it is stored anyway.",
        "METHOD",
        "-q");
    private readonly Option<long?> _kvCacheMemoryBytes = Options.Size(
        "--kv-cache-memory-bytes",
        "Size of the KV cache instead, on each rank and so for each data-parallel group, such as 4G or 512MiB.",
        "SIZE");
    private readonly Option<int?> _numGpuBlocksOverride = Options.Count("--num-gpu-blocks-override", "Number of KV blocks instead, of each data-parallel group.");
    private readonly Option<string?> _loadFormat = Options.Text(
        "--load-format",
        "auto (default, also hf): *.safetensors, or pytorch_model.bin where there are none; safetensors: those alone; dummy: random weights, made on the device, for benchmarks.",
        "auto|safetensors|dummy");
    private readonly Option<bool> _skipTokenizerInit = Options.Flag(
        "--skip-tokenizer-init",
        "Runs without a tokenizer: prompts are token ids and no text comes back.");
    private readonly Option<string?> _chatTemplate = Options.Text(
        "--chat-template",
        "A chat template instead of the model's own: a file, or the template itself.",
        "FILE|TEXT");
    private readonly Switch _describeStructures = new(
        "describe-structured-outputs",
        "Describes the structure that a response is held to at the end of the system message (default). (Not an option of vLLM's.)");
    private readonly Option<string?> _generationConfig = Options.Text(
        "--generation-config",
        "auto (default): sampling defaults from generation_config.json; vllm: none.",
        "auto|vllm");
    private readonly Option<int?> _maxLogprobs = Options.Count(
        "--max-logprobs",
        "Most log-probabilities per position; -1: no limit; default 20.");
    private readonly Option<LogprobsMode?> _logprobsMode = Options.Choice(
        "--logprobs-mode",
        "What log-probabilities are taken from; default raw_logprobs.",
        ("raw_logprobs", LogprobsMode.RawLogprobs),
        ("raw_logits", LogprobsMode.RawLogits),
        ("processed_logprobs", LogprobsMode.ProcessedLogprobs),
        ("processed_logits", LogprobsMode.ProcessedLogits));

    private readonly Option<SchedulingPolicy?> _schedulingPolicy = Options.Choice(
        "--scheduling-policy",
        "Which request runs first: fcfs (first come, first served; default), or priority (a request's priority, lower first).",
        ("fcfs", SchedulingPolicy.Fcfs),
        ("priority", SchedulingPolicy.Priority));
    private readonly Switch _reserveFullIsl = new(
        "scheduler-reserve-full-isl",
        "Admits a request only if the free KV blocks hold its whole prompt (default).");
    private readonly Option<double?> _watermark = Options.Number(
        "--watermark",
        "Share of the KV blocks that admission leaves free, at least 0, below 1; default 0.");
    private readonly Option<string?> _speculativeConfig = Options.Text(
        "--speculative-config",
        """Speculative decoding, such as {"method":"ngram","num_speculative_tokens":4,"prompt_lookup_max":5,"prompt_lookup_min":2}: tokens are looked up in the prompt and verified together; default: off.""",
        "JSON",
        "-sc");
    private readonly Option<double?> _stepTimeout = Options.Number(
        "--step-timeout",
        "Seconds that one step may take before the engine counts as dead; default: on GPUs and with several processes 100 times the longest of its size so far (30 to 300 seconds), any time on a CPU. (Not an option of vLLM's.)");
    private readonly Option<long?> _seed = Options.Size(
        "--seed",
        "Seed of requests that name none; default: a new one for every request.",
        "N");
    private readonly Option<int?> _numThreads = Options.Count(
        "--num-threads",
        "CPU threads; default: the cores that the process may run on, within its container's quota. (Not an option of vLLM's.)");
    private readonly Option<bool> _pinThreads = Options.Flag(
        "--pin-threads",
        "On a CPU: each thread that helps a rank's own to compute stays on a core of its own; for machines that the engine has to itself. (Not an option of vLLM's.)");
    private readonly Option<string?> _libTorch = Options.Text(
        "--libtorch",
        "A folder with libtorch instead of the bundled one; also LOCALLLM_LIBTORCH. (Not an option of vLLM's.)",
        "DIR");

    /// <param name="severalNames">Whether the model may have several names, as on a server.</param>
    /// <param name="models">The kinds of models the command loads; the help mentions them.</param>
    public EngineArguments(bool severalNames = false, ModelKinds models = ModelKinds.Generators)
    {
        _servedModelName = new("--served-model-name")
        {
            Description = "The name that clients call the model; default: org/name as given, or the folder's name." + (severalNames ? " Several: it answers to all of them, and calls itself by the first." : ""),
            HelpName = "NAME",
            AllowMultipleArgumentsPerToken = severalNames,
        };
        const string encoderSteps = "2048 on a CPU, 8192 on a GPU, 32768 on one of 70 GiB or more";
        _maxModelLen = Options.CountOrAuto("--max-model-len", models switch
        {
            ModelKinds.Encoders => "Most tokens of a text, such as 512, 1k (1,000) or 1K (1,024); default auto: the model's own.",
            ModelKinds.Generators => "Maximum number of tokens of prompt and output together, such as 4096, 1k (1,000) or 1K (1,024); default auto: the model's own, or what fits.",
            _ => "Maximum number of tokens of prompt and output together, or of a text that is embedded, such as 4096, 1k (1,000) or 1K (1,024); default auto: the model's own, or what fits.",
        });
        _maxNumBatchedTokens = Options.Count("--max-num-batched-tokens", "Most tokens computed in one step" + (models == ModelKinds.Encoders ? "" : ", in each data-parallel group") + "; default " + models switch
        {
            ModelKinds.Encoders => $"{encoderSteps}.",
            ModelKinds.Generators => "2048.",
            _ => $"2048; of an encoder {encoderSteps}.",
        });
    }

    /// <summary>The options that mean nothing to an encoder, which embeds texts and generates none.</summary>
    public IEnumerable<Option> OfGenerators =>
    [
        _maxNumSeqs, _longPrefillTokenThreshold, _chunkedPrefill.On, _chunkedPrefill.Off, _prefixCaching.On, _prefixCaching.Off, _blockSize, _gpuMemoryUtilization, _dataParallel, _expertParallel, _balancing, _balancingConfig, _enforceEager, _kvCacheDtype, _quantization, _batchInvariant, _pinThreads, _kvCacheMemoryBytes,
        _numGpuBlocksOverride, _skipTokenizerInit, _chatTemplate, _describeStructures.On, _describeStructures.Off, _generationConfig, _maxLogprobs, _logprobsMode, _schedulingPolicy, _reserveFullIsl.On, _reserveFullIsl.Off, _watermark, _speculativeConfig, _seed,
    ];

    private IEnumerable<Option> OfEncoders =>
        [_model, _tokenizer, _servedModelName, _dtype, _loadFormat, _device, _cudaArch, _gpuMemory, _tensorParallel, _pipelineParallel, _devices, _pipelineLayers, _maxModelLen, _maxNumBatchedTokens, _numThreads, _stepTimeout, _libTorch, .. _hub.All];

    /// <summary>Adds every option to <paramref name="command"/>.</summary>
    public void AddTo(Command command)
    {
        AddEncodersTo(command);
        foreach (var option in OfGenerators)
            command.Add(option);
    }

    /// <summary>Adds the options that apply to an encoder to <paramref name="command"/>.</summary>
    public void AddEncodersTo(Command command)
    {
        // The plan has its own --gpu-memory, for cards that this machine may not have.
        foreach (var option in OfEncoders.Where(option => command.Options.All(known => known.Name != option.Name)))
            command.Add(option);
    }

    /// <summary>Whether <c>--model</c> was given; a positional argument then means something else.</summary>
    public bool NamesModel(ParseResult result) => result.GetValue(_model) is not null;

    /// <summary>The given names of the model; may be empty.</summary>
    public IReadOnlyList<string> ServedModelNames(ParseResult result) => result.GetValue(_servedModelName) ?? [];

    /// <summary>Whether prefix caching was switched on or off; null: neither.</summary>
    public bool? PrefixCaching(ParseResult result) => _prefixCaching.Value(result);

    /// <summary>Whether the sizes by which a model is split were given.</summary>
    public bool NamesSizes(ParseResult result) =>
        result.GetValue(_tensorParallel) is not null || result.GetValue(_pipelineParallel) is not null || result.GetValue(_dataParallel) is not null || result.GetValue(_pipelineLayers) is not null;

    /// <summary>The seed of the engine, or null.</summary>
    public long? Seed(ParseResult result) => result.GetValue(_seed);

    /// <summary>The options for the engine, which checks their ranges.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="positionalModel">The model if it was given without <c>--model</c>, or null.</param>
    /// <exception cref="UsageException">No model, two models, or an unsupported block size.</exception>
    public EngineOptions Build(ParseResult result, string? positionalModel)
    {
        var named = result.GetValue(_model);
        if (named is not null && positionalModel is not null)
            throw new UsageException($"the model is given twice, as '{positionalModel}' and as --model {named}; give it once");
        if (result.GetValue(_blockSize) is { } blockSize and not 16)
            throw new UsageException($"--block-size: {blockSize} is not available; the only block size is 16");

        if (ServedModelNames(result) is { Count: > 1 } names && !_servedModelName.AllowMultipleArgumentsPerToken)
            throw new UsageException($"--served-model-name: {names.Count} names are given; this command takes one");

        var defaults = new EngineOptions();
        return new()
        {
            ModelPath = named ?? positionalModel ?? throw new UsageException("no model is given; add --model DIR or --model ORG/NAME"),
            Hub = _hub.Hub(result),
            Revision = _hub.Revision(result),
            DownloadDir = _hub.DownloadDir(result),
            TokenizerPath = result.GetValue(_tokenizer),
            ServedModelName = ServedModelNames(result) is [var name, ..] ? name : null,
            Dtype = result.GetValue(_dtype) ?? defaults.Dtype,
            LoadFormat = LoadFormatOf(result.GetValue(_loadFormat)) ?? defaults.LoadFormat,
            Device = result.GetValue(_device) ?? defaults.Device,
            CudaArch = result.GetValue(_cudaArch),
            TensorParallel = result.GetValue(_tensorParallel) ?? defaults.TensorParallel,
            PipelineParallel = result.GetValue(_pipelineParallel) ?? defaults.PipelineParallel,
            DataParallel = result.GetValue(_dataParallel) ?? defaults.DataParallel,
            EnableExpertParallel = result.GetValue(_expertParallel),
            ExpertBalancing = BalancingOf(result),
            Devices = result.GetValue(_devices)?.Split(',', StringSplitOptions.TrimEntries),
            PipelineLayers = result.GetValue(_pipelineLayers),
            MaxModelLen = result.GetValue(_maxModelLen) is { } length and not -1 ? length : null,
            MaxNumSeqs = result.GetValue(_maxNumSeqs),
            MaxNumBatchedTokens = result.GetValue(_maxNumBatchedTokens) ?? defaults.MaxNumBatchedTokens,
            LongPrefillTokenThreshold = result.GetValue(_longPrefillTokenThreshold) ?? defaults.LongPrefillTokenThreshold,
            EnableChunkedPrefill = _chunkedPrefill.Value(result) ?? defaults.EnableChunkedPrefill,
            EnablePrefixCaching = _prefixCaching.Value(result) ?? defaults.EnablePrefixCaching,
            GpuMemoryUtilization = result.GetValue(_gpuMemoryUtilization),
            GpuMemoryBytes = result.GetValue(_gpuMemory),
            EnforceEager = result.GetValue(_enforceEager),
            KvCacheDtype = result.GetValue(_kvCacheDtype) ?? defaults.KvCacheDtype,
            BatchInvariant = result.GetValue(_batchInvariant),
            Quantization = result.GetValue(_quantization) is { } method && !method.Equals("none", StringComparison.OrdinalIgnoreCase) ? method : null,
            KvCacheMemoryBytes = result.GetValue(_kvCacheMemoryBytes),
            NumGpuBlocksOverride = result.GetValue(_numGpuBlocksOverride),
            SkipTokenizerInit = result.GetValue(_skipTokenizerInit),
            ChatTemplate = result.GetValue(_chatTemplate),
            DescribeStructuredOutputs = _describeStructures.Value(result) ?? defaults.DescribeStructuredOutputs,
            GenerationConfig = result.GetValue(_generationConfig) ?? defaults.GenerationConfig,
            MaxLogprobs = result.GetValue(_maxLogprobs) ?? defaults.MaxLogprobs,
            LogprobsMode = result.GetValue(_logprobsMode) ?? defaults.LogprobsMode,
            SchedulingPolicy = result.GetValue(_schedulingPolicy) ?? defaults.SchedulingPolicy,
            SchedulerReserveFullIsl = _reserveFullIsl.Value(result) ?? defaults.SchedulerReserveFullIsl,
            Watermark = result.GetValue(_watermark) ?? defaults.Watermark,
            Speculation = result.GetValue(_speculativeConfig) is { } speculation ? SpeculationJson.Parse(speculation) : null,
            StepTimeout = result.GetValue(_stepTimeout) is { } seconds ? StepTimeoutOf(seconds) : null,
            Seed = result.GetValue(_seed),
            NumThreads = result.GetValue(_numThreads) ?? defaults.NumThreads,
            PinThreads = result.GetValue(_pinThreads),
            LibTorchPath = result.GetValue(_libTorch),
        };
    }

    private ExpertBalancingOptions? BalancingOf(ParseResult result)
    {
        var config = result.GetValue(_balancingConfig);
        if (!result.GetValue(_balancing))
            return config is null ? null : throw new UsageException("--eplb-config has no meaning without --enable-eplb; give both, or leave it out");
        return config is null ? new() : ExpertBalancingJson.Parse(config);
    }

    private static string? LoadFormatOf(string? format) => format switch
    {
        null or "auto" or "safetensors" or "dummy" => format,
        "hf" => "auto",
        _ => throw new UsageException($"--load-format '{format}' is not available; allowed: auto, hf, safetensors, dummy"),
    };

    private static TimeSpan StepTimeoutOf(double seconds) => seconds > 0 && seconds <= TimeSpan.FromMilliseconds(int.MaxValue).TotalSeconds
        ? TimeSpan.FromSeconds(seconds)
        : throw new UsageException($"--step-timeout: {seconds} is out of range; allowed: above 0, at most 24 days in seconds");
}
