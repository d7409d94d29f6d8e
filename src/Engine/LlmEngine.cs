using System.Security.Cryptography;
using LocalLlm.Execution;
using LocalLlm.Hub;
using LocalLlm.Models;
using LocalLlm.Parsing;
using LocalLlm.Sampling;
using LocalLlm.Scheduling;
using LocalLlm.Templating;
using LocalLlm.Tokenization;
using LocalLlm.Tokenizers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace LocalLlm;

/// <summary>
/// A language model in this process: continuous batching over a paged KV cache with prefix caching. Safe for concurrent requests; load one
/// engine per model and share it. Disposing it aborts running requests, or drains them first (<see cref="EngineOptions.DrainTimeout"/>).
/// </summary>
public sealed partial class LlmEngine : IAsyncDisposable
{
    /// <summary>The name of every engine's meter, activity source and log category.</summary>
    public const string DiagnosticsName = EngineMetrics.Name;

    private readonly EngineLoop _loop;
    private readonly EngineInbox _inbox;
    private readonly Task _loopEnded;
    private readonly ModelSamplingDefaults _samplingDefaults;
    private readonly IReadOnlyList<int> _eosTokenIds;
    private readonly ThinkingTokens? _thinking;
    private readonly ResponseGrammars? _grammars;
    private readonly int _vocabularySize;
    private int _disposed;

    private LlmEngine(EngineOptions options, IExecutorLoader loader, MemoryPlan plan, EngineLoop loop, EngineInbox inbox, Task loopEnded, ModelTexts texts, IReadOnlyList<int> eosTokenIds, ModelSamplingDefaults samplingDefaults)
    {
        var tokenizer = texts.Tokenizer;
        Options = options;
        _loop = loop;
        _inbox = inbox;
        _loopEnded = loopEnded;
        Tokenizer = tokenizer;
        ToolFormat = texts.ToolFormat;
        ChatTemplate = texts.ChatTemplate;
        Plan = plan;
        ModelName = NameOf(options);
        Dtype = loader.ComputeType.ToString().ToLowerInvariant();
        _vocabularySize = loader.Config.VocabSize;
        _thinking = options.ReasoningParser != "none" && tokenizer?.TokenToId(ReasoningParser.Open) is { } open && tokenizer.TokenToId(ReasoningParser.Close) is { } close ? new(open, close) : null;
        _grammars = texts.Grammars;
        _eosTokenIds = [.. eosTokenIds.Concat(tokenizer?.EosTokenId is { } eos ? [eos] : Array.Empty<int>()).Distinct()];
        _samplingDefaults = samplingDefaults;
    }

    /// <summary>What the engine was loaded with.</summary>
    public EngineOptions Options { get; }

    /// <summary>The model name that clients use.</summary>
    public string ModelName { get; }

    /// <summary>The data type of the computation, by its PyTorch name.</summary>
    public string Dtype { get; }

    /// <summary>How the first rank's memory is used; tokens and sequences are those of one data-parallel group.</summary>
    public MemoryPlan Plan { get; }

    /// <summary>Number of rows of the model's embedding; every token id is below it.</summary>
    public int VocabularySize => _vocabularySize;

    /// <summary>Maximum number of running sequences, over all data-parallel groups.</summary>
    public int MaxNumSeqs => Options.RunningSequences * Options.DataParallel;

    /// <summary>Maximum number of tokens of prompt and output together.</summary>
    public int MaxModelLen => Plan.MaxModelLen;

    /// <summary>The model's tokenizer, or null with <see cref="EngineOptions.SkipTokenizerInit"/>.</summary>
    public Tokenizer? Tokenizer { get; }

    /// <summary>The model's chat template, or null with <see cref="EngineOptions.SkipTokenizerInit"/>.</summary>
    public ChatTemplate? ChatTemplate { get; }

    /// <summary>The format of the model's tool calls.</summary>
    internal ToolCallFormat ToolFormat { get; }

    /// <summary>The engine's figures after its latest step.</summary>
    public EngineStatistics Statistics => _loop.Statistics;

    /// <summary>False once the engine is shutting down or has failed.</summary>
    public bool IsAlive => _inbox.Closed is null;

    /// <summary>Completes when the engine has ended, by shutdown or by failure (<see cref="HasFailed"/>). Never faults.</summary>
    public Task Completion => _loopEnded;

    /// <summary>Whether the engine itself has failed and serves no more requests.</summary>
    public bool HasFailed => _inbox.Closed is { Kind: EngineErrorKind.EngineDead };

    /// <summary>The model's own sampling defaults (generation_config.json), as a request would state them.</summary>
    public SamplingParams DefaultSamplingParams => new()
    {
        Temperature = _samplingDefaults.Temperature,
        TopP = _samplingDefaults.TopP,
        TopK = _samplingDefaults.TopK,
        MinP = _samplingDefaults.MinP,
        RepetitionPenalty = _samplingDefaults.RepetitionPenalty,
        MaxTokens = _samplingDefaults.MaxNewTokens,
    };

    /// <summary>Loads a model and starts the engine.</summary>
    /// <param name="options">The model's folder or repository, and all other options.</param>
    /// <param name="progress">Receives the current phase and its bytes. Called from the engine's thread, or during a download from other
    /// threads, one call at a time.</param>
    /// <param name="cancellationToken">Cancels loading.</param>
    /// <exception cref="EngineException">InvalidOptions, ModelFolder or Environment. Everything loaded so far is freed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static Task<LlmEngine> LoadAsync(EngineOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        EngineOptionsValidator.Validate(options);
        RequireFirstNode(options);
        options = ModelSource.Local(options);
        var logger = new GuardedLogger((options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger(EngineMetrics.Name));
        return ModelSource.IsRemote(options) ? DownloadAndStartAsync(options, progress, logger, cancellationToken) : StartAsync(options, progress, logger, cancellationToken);
    }

    /// <summary>
    /// Plans a model's memory without loading its weights. Downloads a repository first, as <see cref="LoadAsync"/> would.
    /// </summary>
    /// <exception cref="EngineException">InvalidOptions, ModelFolder or Environment.</exception>
    public static MemoryPlan PlanMemory(EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        EngineOptionsValidator.Validate(options);
        if (ModelSource.IsRemote(options))
            options = ModelSource.ResolveAsync(options, (model, hub) => ModelHub.ResolveAsync(model, hub)).GetAwaiter().GetResult();
        options = ModelSource.Local(options);
        ModelSource.RequireModelFolder(options);
        using var loader = options.ExecutorFactory.Open(options);
        loader.CheckWeights();
        return loader.Plan;
    }

    private static void RequireFirstNode(EngineOptions options)
    {
        if (options.NodeRank > 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"node_rank is {options.NodeRank}: this node computes for node 0 and takes no requests; send them to node 0, and run this one with EngineNode.RunAsync.", "node_rank");
    }

    private static async Task<LlmEngine> DownloadAndStartAsync(EngineOptions options, IProgress<LoadProgress>? progress, ILogger logger, CancellationToken cancellationToken)
    {
        var local = await ModelSource.ResolveAsync(options, (model, hub) => ModelHub.ResolveAsync(
            model, hub with { Warning = text => LogHub(logger, text) }, new DownloadPhase(model, progress), cancellationToken)).ConfigureAwait(false);
        return await StartAsync(local, progress, logger, cancellationToken).ConfigureAwait(false);
    }

    private static Task<LlmEngine> StartAsync(EngineOptions options, IProgress<LoadProgress>? progress, ILogger logger, CancellationToken cancellationToken)
    {
        var loaded = new TaskCompletionSource<LlmEngine>(TaskCreationOptions.RunContinuationsAsynchronously);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        // The device belongs to one thread for its whole life: that thread loads the model, runs every step, and frees the device.
        var thread = new Thread(() => RunDeviceThread(options, progress, logger, loaded, ended, cancellationToken))
        {
            IsBackground = true,
            Name = "LocalLlm engine",
        };
        thread.Start();
        return loaded.Task;
    }

    /// <summary>
    /// Checks this machine for everything that the engine can use: libtorch, and for a GPU the driver, NVRTC, NCCL, memory and peer
    /// access.
    /// </summary>
    /// <param name="libTorchPath">A folder with libtorch instead of the bundled one.</param>
    public static IReadOnlyList<EnvironmentCheck> CheckEnvironment(string? libTorchPath = null) => Ops.Cuda.CudaChecks.Run(libTorchPath);

    /// <summary>
    /// Whether <see cref="EngineOptions.Device"/> <c>auto</c> selects a GPU. Libtorch must be loaded (<see cref="CheckEnvironment"/>).
    /// </summary>
    public static bool CanUseCuda() => Ops.Cuda.CudaDevice.IsUsable();

    /// <summary>Maps how the blocks of the KV cache are used, between two steps.</summary>
    /// <param name="cells">Maximum number of characters of the result, above 0. With more blocks, each character stands for several
    /// neighbouring blocks.</param>
    /// <returns>One character for each cell: <c>.</c> for free, <c>c</c> for free with a cached prefix, <c>1</c> to <c>9</c> for the share
    /// of its blocks that sequences hold, in ninths rounded up. Empty once the engine has ended.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="cells"/> is below 1.</exception>
    public Task<string> MapKvBlocksAsync(int cells)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(cells, 1);
        return _inbox.MapKvBlocksAsync(cells);
    }

    /// <summary>Drops all cached prefixes; running requests continue.</summary>
    public void ResetPrefixCache() => _inbox.ResetPrefixCache();

    /// <summary>
    /// Accepts no more requests, lets running ones finish for at most <paramref name="drain"/>, aborts the rest, and frees the device.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="drain"/> is negative or above 24 days.</exception>
    public async Task ShutdownAsync(TimeSpan drain)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(drain, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(drain.TotalMilliseconds, int.MaxValue, nameof(drain));
        _inbox.BeginDrain();
        if (drain > TimeSpan.Zero && await Task.WhenAny(_loopEnded, Task.Delay(drain)).ConfigureAwait(false) == _loopEnded)
            return;
        _inbox.Stop();
        await _loopEnded.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            await ShutdownAsync(Options.DrainTimeout).ConfigureAwait(false);
        else
            await _loopEnded.ConfigureAwait(false);
    }

    private static void RunDeviceThread(EngineOptions options, IProgress<LoadProgress>? progress, ILogger logger, TaskCompletionSource<LlmEngine> loaded, TaskCompletionSource ended, CancellationToken cancellationToken)
    {
        EngineLoop loop;
        try
        {
            (var engine, loop) = Load(options, progress, logger, ended.Task, cancellationToken);
            loaded.SetResult(engine);
        }
        catch (Exception failure)
        {
            if (failure is OperationCanceledException && cancellationToken.IsCancellationRequested)
                loaded.SetCanceled(cancellationToken);
            else
                loaded.SetException(failure);
            return;
        }

        // If the device never returns from a call, the thread is abandoned.
        loop.GivenUp.ContinueWith(_ => ended.TrySetResult(), TaskScheduler.Default);
        try
        {
            using (loop)
                loop.Run();
        }
        catch (Exception failure)
        {
            // Freeing a device that has failed may fail again; the application must go on.
            LogDeviceNotFreed(logger, failure);
        }
        finally
        {
            ended.TrySetResult();
        }
    }

    private static (LlmEngine Engine, EngineLoop Loop) Load(EngineOptions options, IProgress<LoadProgress>? progress, ILogger logger, Task ended, CancellationToken cancellationToken)
    {
        progress?.Report(new("reading the configuration", 0, 0));
        // Only now is a repository's folder known.
        ModelSource.RequireModelFolder(options);
        var reading = options.SkipTokenizerInit ? null : Task.Run(() => LoadTexts(options), cancellationToken);
        using var loader = options.ExecutorFactory.Open(options);
        var generationConfig = GenerationConfig.Load(options.ModelPath, loader.Config);
        var samplingDefaults = SamplingDefaultsOf(options, generationConfig);
        var estimate = loader.Plan;
        LogPlanOf(loader, estimate, options, logger);
        progress?.Report(new("planning the memory", 0, 0) { Plan = estimate });
        if (estimate.Note is { } note)
            LogPlanNote(logger, note);

        // All small files are read before the weights, so that faults in them show early.
        progress?.Report(new("reading the tokenizer", 0, 0));
        var (tokenizer, chatTemplate) = reading?.GetAwaiter().GetResult() ?? (null, null);
        if (tokenizer is not null)
            EngineOptionsValidator.CheckTokenizer(options, tokenizer, loader.Config);
        var toolFormat = options.ToolCallParser == "auto" ? ToolCallFormats.Detect(chatTemplate?.Source, loader.Config.ModelType) : ToolCallFormats.Find(options.ToolCallParser)!.Value;
        var texts = new ModelTexts(tokenizer, chatTemplate?.With(ToolPrompt.Load(toolFormat, options.ToolPrompt)), toolFormat, EngineGrammars.Create(tokenizer));

        var executor = loader.Load(texts.Grammars, progress, cancellationToken);
        try
        {
            // On a GPU the largest step has run by now, so the plan holds measured sizes.
            var plan = executor.Capabilities.Plan;
            if (plan != estimate)
            {
                LogPlanOf(loader, plan, options, logger);
                progress?.Report(new("measured the memory", 0, 0) { Plan = plan });
            }

            var scheduling = new SchedulerOptions
            {
                MaxModelLen = plan.MaxModelLen,
                MaxNumBatchedTokens = options.StepTokens,
                MaxNumSeqs = options.RunningSequences,
                MicroBatches = executor.Capabilities.PipelineStages,
                EnableChunkedPrefill = options.EnableChunkedPrefill,
                LongPrefillTokenThreshold = options.LongPrefillTokenThreshold,
                Policy = options.SchedulingPolicy,
                ReserveFullPrompt = options.SchedulerReserveFullIsl,
                AdmissionWatermark = options.Watermark,
                MaxNumWaiting = options.MaxWaitingRequests == 0 ? null : options.MaxWaitingRequests,
            };
            if (options.Speculation is { NumSpeculativeTokens: { } drafts } speculation)
            {
                var learning = new LearningBudget();
                scheduling = scheduling with { MaxDrafts = drafts, MaxDraftsOfStep = options.StepDrafts, Learning = learning, CreateDrafter = DrafterOf(speculation, drafts, learning) };
            }

            var settings = new EngineLoopSettings
            {
                Scheduler = scheduling,
                ModelName = NameOf(options),
                EnablePrefixCaching = options.EnablePrefixCaching,
                StepDeadlines = StepDeadlines.Of(options.StepTimeout, executor.Capabilities.StepTimeout),
                MeterScope = options.MeterScope,
            };
            var inbox = new EngineInbox();
            var loop = new EngineLoop(executor, inbox, settings, SeedSource(options.Seed), logger, TimeProvider.System);
            return (new LlmEngine(options, loader, plan, loop, inbox, ended, texts, generationConfig.EosTokenIds, samplingDefaults), loop);
        }
        catch
        {
            executor.Dispose();
            throw;
        }
    }

    private static Func<IDrafter> DrafterOf(SpeculationOptions speculation, int drafts, LearningBudget learning) => speculation.Method == SpeculationOptions.Mtp
        ? () => new OfferedDrafter() : () => new NgramDrafter(speculation.LookupMin, speculation.LookupMax, drafts, learning);

    private static void LogPlanOf(IExecutorLoader loader, MemoryPlan plan, EngineOptions options, ILogger logger) =>
        LogPlan(
            logger,
            NameOf(options),
            loader.ComputeType.ToString(),
            plan.WeightBytes >> 20,
            plan.ActivationBytes >> 20,
            plan.GraphBytes >> 20,
            plan.KvCacheTokens,
            options.DataParallel == 1 ? "" : $" in each of {options.DataParallel} groups",
            plan.MaxModelLen,
            plan.MaxConcurrency);

    private static ModelSamplingDefaults SamplingDefaultsOf(EngineOptions options, GenerationConfig config)
    {
        if (options.GenerationConfig == "vllm")
            return ModelSamplingDefaults.None;
        var defaults = new ModelSamplingDefaults
        {
            Temperature = config.Temperature,
            TopP = config.TopP,
            TopK = config.TopK,
            MinP = config.MinP,
            RepetitionPenalty = config.RepetitionPenalty,
            MaxNewTokens = config.MaxNewTokens,
        };
        defaults.Check();
        return defaults;
    }

    private static (Tokenizer? Tokenizer, ChatTemplate? ChatTemplate) LoadTexts(EngineOptions options)
    {
        var folder = options.TokenizerPath ?? options.ModelPath;
        return Tokenizer.Exists(folder)
            ? (TokenizerErrors.Translated(() => Tokenizer.Load(folder)), ChatTemplate.Load(folder, options.ChatTemplate))
            : throw EngineException.ModelFolder(Tokenizer.FileName, "is missing. Put it into the model's folder, name another folder with tokenizer, or set skip_tokenizer_init and use token ids.");
    }

    // Called on the engine loop's thread only.
    private static Func<ulong> SeedSource(long? seed)
    {
        if (seed is null)
            return () => BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        var random = new Random(HashCode.Combine(seed));
        return () => (ulong)random.NextInt64(long.MinValue, long.MaxValue);
    }

    /// <summary>The name that clients see: <see cref="EngineOptions.ServedModelName"/>, or the repository's or folder's name.</summary>
    /// <param name="options">Checked options.</param>
    public static string NameOf(EngineOptions options) =>
        options.ServedModelName ?? ModelReference.Remote(options.ModelPath)?.Repository ?? HubCache.RepositoryOf(options.ModelPath) ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.ModelPath)));

    [LoggerMessage(10, LogLevel.Information, "{Model} in {Dtype}: weights {WeightMiB} MiB, activations {ActivationMiB} MiB, CUDA graphs {GraphMiB} MiB; the KV cache holds {Tokens} tokens{Groups}; max_model_len {MaxModelLen}; maximum concurrency at that length {Concurrency:F2}x.")]
    private static partial void LogPlan(ILogger logger, string model, string dtype, long weightMiB, long activationMiB, long graphMiB, long tokens, string groups, int maxModelLen, double concurrency);

    [LoggerMessage(11, LogLevel.Warning, "{Note}.")]
    private static partial void LogPlanNote(ILogger logger, string note);

    [LoggerMessage(12, LogLevel.Error, "The device could not be freed.")]
    internal static partial void LogDeviceNotFreed(ILogger logger, Exception failure);

    [LoggerMessage(13, LogLevel.Warning, "{Text}")]
    internal static partial void LogHub(ILogger logger, string text);

    // What is read of a model besides its weights.
    private sealed record ModelTexts(Tokenizer? Tokenizer, ChatTemplate? ChatTemplate, ToolCallFormat ToolFormat, ResponseGrammars? Grammars);
}
