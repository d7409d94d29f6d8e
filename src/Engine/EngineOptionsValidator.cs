using System.Globalization;
using LocalLlm.Execution;
using LocalLlm.Hub;
using LocalLlm.Interop;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Parallel;
using LocalLlm.Parsing;
using LocalLlm.Planning;
using LocalLlm.Sampling;
using LocalLlm.Templating;
using LocalLlm.Tokenization;
using LocalLlm.Tokenizers;

namespace LocalLlm;

/// <summary>Checks <see cref="EngineOptions"/>, the files that they name and the kind of the model's folder before anything is loaded.
/// Reports every fault in one error.</summary>
public static class EngineOptionsValidator
{
    // More threads would only wait for one another.
    private const int ThreadsPerCore = 4;

    /// <summary>Throws if any option is out of range or asks for what this build does not support.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions, listing every fault; Parameter is the first one's name. Kind ModelFolder:
    /// the options are valid, but the folder holds no model.</exception>
    public static void Validate(EngineOptions options)
    {
        ValidateOptions(options);
        ModelSource.RequireModelFolder(options);
    }

    /// <summary>Like <see cref="Validate"/>, but the model's folder may be incomplete.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    internal static void ValidateOptions(EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var faults = new List<(string Name, string Message)>();
        Require(!string.IsNullOrWhiteSpace(options.ModelPath), "model", "is empty; name a model folder");
        var remote = ModelReference.Remote(options.ModelPath);
        Require(string.IsNullOrWhiteSpace(options.ModelPath) || Directory.Exists(options.ModelPath) || remote is not null, "model", $"'{options.ModelPath}' {MistakenName.FaultOf(options.ModelPath)}");
        Require(options.TokenizerPath is null || !Directory.Exists(options.TokenizerPath) || Tokenizer.Exists(HubCache.Resolve(options.TokenizerPath)), "tokenizer", $"'{options.TokenizerPath}' has no {Tokenizer.FileName}; name a folder that has one");
        Require(options.TokenizerPath is not { } tokenizer || Directory.Exists(tokenizer) || ModelReference.Remote(tokenizer) is not null, "tokenizer", $"'{options.TokenizerPath}' is not a folder; name one with tokenizer.json, or a repository of a hub as org/name");
        Require(options.ServedModelName is not { } name || (!string.IsNullOrWhiteSpace(name) && !name.Any(char.IsControl)), "served_model_name", "is empty or has control characters; give a name that clients can send");
        Require(options.DownloadDir is null || !File.Exists(options.DownloadDir), "download_dir", $"'{options.DownloadDir}' is a file; name a folder");
        Require(!options.SkipTokenizerInit || (options.TokenizerPath, options.ChatTemplate, options.ToolPrompt) is (null, null, null), "skip_tokenizer_init", "leaves the tokenizer out, so tokenizer, chat_template and tool_prompt have no effect; leave them out");
        Require(ModelSource.IsHub(options.Hub), "hub", $"is '{options.Hub}'; allowed: {ModelSource.AllowedHubs}");
        Require(options.Revision is null || !Directory.Exists(options.ModelPath), "revision", "is given, but the model is a local folder; name a repository as org/name, or leave it out");
        Require(options.Revision is null || SafeNames.RevisionFault(options.Revision) is null, "revision", $"is '{options.Revision}'; name a branch, a tag or a commit");
        Require(options.Dtype is { } dtype && (dtype == "auto" || ModelDtypes.Find(dtype) is not null), "dtype", $"is '{options.Dtype}'; allowed: auto, {ModelDtypes.Allowed}");
        Require(options.LoadFormat is "auto" or "safetensors" or "dummy", "load_format", $"is '{options.LoadFormat}'; allowed: auto, safetensors, dummy");
        Require(options.Device is { } device && DeviceRegistry.IsName(device), "device", $"is '{options.Device}'; allowed: {DeviceRegistry.Allowed}");
        if (CudaArchitecture.FaultOf(options.CudaArch) is { } architecture)
            faults.Add((CudaArchitecture.Option, architecture));
        faults.AddRange(ParallelRules.FaultsOf(ParallelRequest.Of(options, devicesPerNode: null)).Select(fault => (fault.Option, fault.Message)));
        faults.AddRange(DeviceOptions.FaultsOf(options));
        NodeOptionsValidator.Check(options, Require);
        Require(options.MaxModelLen is null or >= 2, "max_model_len", $"is {options.MaxModelLen}; at least 2");
        Require(options.MaxNumSeqs is null or >= 1, "max_num_seqs", $"is {options.MaxNumSeqs}; at least 1");
        Require(options.StepTokens >= 1, "max_num_batched_tokens", $"is {options.StepTokens}; at least 1");
        Require(options.StepTokens < 1 || options.StepTokens >= (options.MaxNumSeqs ?? 1), "max_num_batched_tokens", $"is {options.StepTokens}; at least max_num_seqs ({options.MaxNumSeqs})");
        Require(options.LongPrefillTokenThreshold >= 0, "long_prefill_token_threshold", $"is {options.LongPrefillTokenThreshold}; 0 (off) or more");
        Require(options.GpuMemoryUtilization is null or (> 0 and <= 1), "gpu_memory_utilization", string.Create(CultureInfo.InvariantCulture, $"is {options.GpuMemoryUtilization}; above 0, at most 1"));
        Require(options.GpuMemoryBytes is null or > 0, MemoryCap.Option, $"is {options.GpuMemoryBytes}; above 0");
        Require(options.KvCacheMemoryBytes is null or > 0, "kv_cache_memory_bytes", $"is {options.KvCacheMemoryBytes}; above 0");
        Require(options.NumGpuBlocksOverride is null or > 0, "num_gpu_blocks_override", $"is {options.NumGpuBlocksOverride}; above 0");
        Require(options.NumGpuBlocksOverride is null || options.KvCacheMemoryBytes is null, "num_gpu_blocks_override", "and kv_cache_memory_bytes both size the KV cache; set one of them");
        Require(KvCacheDtypes.IsName(options.KvCacheDtype), "kv_cache_dtype", $"is '{options.KvCacheDtype}'; allowed: {KvCacheDtypes.Allowed}");
        Require(QuantizationSupport.IsName(options.Quantization), QuantizationSupport.Option, $"is '{options.Quantization}'; allowed: {QuantizationSupport.Allowed}");
        Require(options.MaxWaitingRequests >= 0, "max_waiting_requests", $"is {options.MaxWaitingRequests}; 0 (no limit) or more");
        Require(options.Watermark is >= 0 and < 1, "watermark", string.Create(CultureInfo.InvariantCulture, $"is {options.Watermark}; at least 0, below 1"));
        Require(Enum.IsDefined(options.SchedulingPolicy), "scheduling_policy", $"is {options.SchedulingPolicy}; allowed: fcfs, priority");
        faults.AddRange(SpeculationOptionsValidator.FaultsOf(options));
        Require(options.StepTimeout is not { } timeout || (timeout > TimeSpan.Zero && timeout.TotalMilliseconds <= int.MaxValue), "step_timeout", $"is {options.StepTimeout}; above zero, at most {TimeSpan.FromMilliseconds(int.MaxValue)}");
        Require(options.GenerationConfig is "auto" or "vllm", "generation_config", $"is '{options.GenerationConfig}'; allowed: auto, vllm");
        Require(options.ToolCallParser == "auto" || ToolCallFormats.Find(options.ToolCallParser) is not null, "tool_call_parser", $"is '{options.ToolCallParser}'; allowed: auto, {ToolCallFormats.Allowed}");
        Require(options.ReasoningParser is "auto" or "none" or "deepseek_r1" or "deepseek_v3" or "qwen3", "reasoning_parser", $"is '{options.ReasoningParser}'; allowed: auto, none, deepseek_r1, deepseek_v3, qwen3");
        Require(options.MaxLogprobs >= -1, "max_logprobs", $"is {options.MaxLogprobs}; -1 (no limit) or more");
        Require(Enum.IsDefined<LogprobsMode>(options.LogprobsMode), "logprobs_mode", $"is {options.LogprobsMode}; allowed: raw_logprobs, raw_logits, processed_logprobs, processed_logits");
        var maxThreads = ThreadsPerCore * Environment.ProcessorCount;
        Require(options.NumThreads >= 0 && options.NumThreads <= maxThreads, "num_threads", $"is {options.NumThreads}; 0 (all cores) to {maxThreads} on this machine");
        Require(options.DrainTimeout >= TimeSpan.Zero && options.DrainTimeout.TotalMilliseconds <= int.MaxValue, "drain_timeout", $"is {options.DrainTimeout}; zero to {TimeSpan.FromMilliseconds(int.MaxValue)}");
        Require(string.IsNullOrEmpty(options.LibTorchPath) || File.Exists(Path.Combine(options.LibTorchPath, TorchLibrary.MainFile)), "libtorch", $"is '{options.LibTorchPath}', which has no {TorchLibrary.MainFile}; name the folder that holds it, such as the torch/lib folder of an installed PyTorch");
        RequireTemplates(options, (name, message) => faults.Add((name, message)));
        if (faults.Count > 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, string.Join("; ", faults.Select(fault => $"{fault.Name} {fault.Message}")) + ".", faults[0].Name);

        void Require(bool condition, string name, string message)
        {
            if (!condition)
                faults.Add((name, message));
        }
    }

    /// <summary>
    /// Like <see cref="Validate"/>, for an <see cref="EmbeddingEngine"/>: also refuses options that apply to generation alone.
    /// </summary>
    /// <exception cref="EngineException">Kind InvalidOptions or ModelFolder.</exception>
    public static void ValidateEncoder(EngineOptions options)
    {
        Validate(options);
        EncoderOptionsValidator.Validate(options);
    }

    /// <summary>Checks, without libtorch and weights, whether the requested length, device and tokenizer fit the model's folder and the
    /// device. Checks nothing of a repository that is not downloaded yet.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions or ModelFolder, or Environment: the device does not exist.</exception>
    public static void CheckFit(EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        DeviceOptions.Require(options);
        if (!Directory.Exists(options.ModelPath))
            return;
        if (EncoderConfig.IsIn(options.ModelPath))
        {
            ModelLengths.Check(options, EncoderExecutor.LengthOf(EncoderConfig.Load(options.ModelPath), options.ModelPath));
            return;
        }

        var config = ModelConfig.Load(options.ModelPath);
        ModelLengths.Check(options, config);
        SpeculationSupport.Check(options, config);
        ParallelPlanner.CreateHere(options);
        // A named tokenizer may belong to any model, so check it here; the model's own is checked when the model is read.
        if (options.TokenizerPath is { } path && Tokenizer.Exists(path))
            CheckTokenizer(options, TokenizerErrors.Translated(() => Tokenizer.Load(path)), config);
    }

    /// <summary>
    /// Refuses a tokenizer with more tokens than the model's embedding has rows. Added tokens may lie beyond: some models have a few that
    /// they never use.
    /// </summary>
    /// <exception cref="EngineException">Kind InvalidOptions if the options named the tokenizer, else ModelFolder.</exception>
    internal static void CheckTokenizer(EngineOptions options, Tokenizer tokenizer, ModelConfig config)
    {
        if (tokenizer.UnaddedSize <= config.VocabSize)
            return;
        var isNamed = options.TokenizerPath is not null;
        throw new EngineException(
            isNamed ? EngineErrorKind.InvalidOptions : EngineErrorKind.ModelFolder,
            $"tokenizer {options.TokenizerPath ?? Tokenizer.FileName} has {tokenizer.UnaddedSize} tokens, but the model's embedding has {config.VocabSize} rows "
            + $"({ModelConfig.FileName}, vocab_size); {(isNamed ? "give the model's own tokenizer" : "the two do not belong together")}.",
            isNamed ? "tokenizer" : null);
    }

    // A given template must exist and compile. If it is the name of one of a repository's own templates, it can only be looked up after
    // the download.
    private static void RequireTemplates(EngineOptions options, Action<string, string> fault)
    {
        var folder = HubCache.Resolve(options.TokenizerPath ?? options.ModelPath);
        Check("chat_template", options.ChatTemplate, text => ChatTemplate.CheckReplacement(text, Directory.Exists(folder) ? folder : null));
        Check("tool_prompt", options.ToolPrompt, text => ToolPrompt.Load(default, text));

        void Check(string name, string? given, Action<string> check)
        {
            if (given is null)
                return;
            try
            {
                check(given);
            }
            catch (EngineException failure)
            {
                fault(name, "cannot be used: " + failure.Message.TrimEnd('.'));
            }
        }
    }
}
