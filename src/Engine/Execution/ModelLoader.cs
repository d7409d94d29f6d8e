using LocalLlm.KvCache;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using LocalLlm.Weights;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Turns a model folder and options into a planned, then loaded, executor. Planning reads only headers. One instance serves one rank and
/// must be used on the executor's thread. It owns everything it has opened until <see cref="Load"/> hands it to the executor.
/// </summary>
internal sealed partial class ModelLoader : IExecutorLoader
{
    // Driver memory for the recorded steps of every 256 sequences.
    private const long GraphAllowance = 256L << 20;

    private readonly EngineOptions _options;
    private readonly RankContext _rank;
    private readonly LoadSession _session;
    private readonly WeightPacking _packing;
    private readonly ExpertRebalancing? _rebalancing; // null: experts are not moved
    private ICausalLanguageModel? _model;
    private int _recordedRows; // rows of the largest recorded step; before the weights are loaded, the upper limit
    private bool _handedOver; // to the executor

    /// <summary>Reads config.json and the headers of the weights, builds the model without weights, and plans the memory.</summary>
    /// <exception cref="EngineException">The folder is malformed, the options do not fit it, or memory is too small.</exception>
    /// <param name="options">The engine's options.</param>
    /// <param name="rank">This rank, owned by the loader; null: the only rank.</param>
    public ModelLoader(EngineOptions options, RankContext? rank = null)
    {
        _options = options;
        _rank = rank ?? RankContext.Single(options.Device);
        try
        {
            Config = ModelConfig.Load(options.ModelPath);
            RequireStages(_rank.Plan, Config);
            SpeculationSupport.Check(options, Config);
            QuantizationSupport.Check(options, Config);
            _session = new(options, _rank, Config.Dtype, whenUnsaid: null, DevicePriority.High);
            DeviceSupport.RequireInvariance(options, _session.Ops);
            DeviceSupport.RequireThreads(options, _session.Ops);
            var longest = ModelLength(options, Config);
            _rebalancing = options.ExpertBalancing is { } balancing ? new(balancing) : null;
            var context = _session.Context with
            {
                SpreadsExperts = options.EnableExpertParallel, Stage = _rank.Plan.StageOf(_rank.Place.Stage, Config.NumHiddenLayers), Previous = _rank.Previous, Next = _rank.Next,
                Rebalancing = _rebalancing,
            };
            _model = ModelRegistry.Create(Config, context, new(longest, options.StepTokens) { Predicts = options.Speculation is { Method: SpeculationOptions.Mtp } });
            _packing = ChoosePacking();
            _recordedRows = MaxNumSeqs;
            Plan = MakePlan(_model, longest);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The rank's place and peers.</summary>
    public RankContext Rank => _rank;

    /// <inheritdoc/>
    public ModelConfig Config { get; }

    /// <inheritdoc/>
    public ScalarType ComputeType => _session.ComputeType;

    /// <summary>
    /// How the memory is used. At first an estimate; on a device with memory of its own, the measured plan once the model is loaded.
    /// </summary>
    public MemoryPlan Plan { get; private set; }

    /// <inheritdoc/>
    public void CheckWeights() => _session.CheckWeights();

    /// <summary>Reads the weights, allocates the KV cache, and records decode steps if the model and the device can.</summary>
    /// <param name="grammars">Compiles the grammars of new sequences; null without a tokenizer.</param>
    /// <param name="progress">Receives phases and bytes.</param>
    /// <param name="cancellationToken">Cancels loading.</param>
    /// <exception cref="EngineException">The weights do not fit the configuration.</exception>
    IStepExecutor IExecutorLoader.Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken) =>
        Load(grammars, progress, cancellationToken);

    /// <inheritdoc cref="IExecutorLoader.Load"/>
    public LocalExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        var model = _model ?? throw new InvalidOperationException("The model was already handed out.");
        _session.LoadWeights(_packing, progress, cancellationToken);
        // A stage that drafts records no steps. Ranks agree on the smallest number, because steps are padded alike on all stages.
        _recordedRows = model.Predictor is not null ? 0 : Math.Min(MaxNumSeqs, model.MaxRecordedRows);
        PrepareFp8();
        if (_session.Ops.Features.Memory is { } memory)
            Measure(model, memory, progress);
        Plan = Plan with { MaxRecordedRows = _recordedRows };
        Plan = _rank.Memory?.Agree(Plan) ?? Plan;
        _recordedRows = Plan.MaxRecordedRows;
        progress?.Report(new("allocating the KV cache", 0, 0));
        var caches = KvCacheTensors.Allocate(_session.Ops, model.KvCache, Plan.NumBlocks, CacheType);
        DecodeGraphs? graphs = null;
        try
        {
            var tokens = new SampledTokens(_rank, _session.Ops.Features.TokenSampler, _options.SampledRows);
            if (Recorder(model) is { } recorder)
            {
                graphs = new(model, recorder, caches, _recordedRows, Plan.MaxModelLen, _options.EnforceEager);
                Record(graphs, progress);
            }

            _session.Ops.Features.Memory?.Settle();
            var logger = _options.LoggerFactory?.CreateLogger(typeof(LocalExecutor)) is { } own ? new GuardedLogger(own) : null;
            var maxPredicted = _options.Speculation?.NumSpeculativeTokens ?? 0;
            _model = null;
            _handedOver = true;
            return new(model, _session.HandOver(), _rank, caches, graphs, tokens, _options.LogprobsMode, Plan, grammars, maxPredicted, logger);
        }
        catch
        {
            graphs?.Dispose();
            foreach (var cache in caches)
                cache.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _model?.Dispose();
        _session?.Dispose();
        if (!_handedOver)
            _rank.Dispose();
    }

    private ScalarType ActivationType => _session.Context.ActivationType;

    private ScalarType CacheType => KvCacheDtypes.IsFloat8(_options.KvCacheDtype) ? KvCacheSpec.Float8 : ActivationType;

    private int MaxNumSeqs => _options.RunningSequences;

    // If plain operations widen 8-bit floats (for many rows, float32, unusual block sizes), they allocate in every step, which a recording
    // cannot replay. A recorded step yields only logits, and not the hidden states that drafts need.
    private IGraphCapture? Recorder(ICausalLanguageModel model) =>
        model.Predictor is null && _recordedRows > 0 && _rank.RecordsSteps && !WidensFully ? _session.Ops.Features.GraphCapture : null;

    private bool WidensFully => Config.Quantization is not null && _session.Ops.Features.Fp8 is null;

    private void PrepareFp8()
    {
        if (Config.Quantization is not { } stored)
            return;
        var products = _session.Ops.Features.Fp8?.Prepare(ActivationType);
        if (_options.LoggerFactory?.CreateLogger(typeof(ModelLoader)) is not { } logger || _rank.Rank != 0)
            return;
        if (WidensFully)
            LogWidensFully(logger, stored.ScaleOf, _rank.Device);
        else if (products is null || products.InKernels == products.Count)
            LogWidensInKernels(logger, stored.ScaleOf);
        else
            LogFp8Products(logger, stored.ScaleOf, products.Count, products.Quantised, products.InKernels, products.Whole);
        if (products?.ManyRows is { } way)
            LogManyRows(logger, way);
    }

    [LoggerMessage(14, LogLevel.Information, "The matrices of the layers stay 8-bit floats in memory, with a scale for {ScaleOf}; kernels widen them when they multiply.")]
    private static partial void LogWidensInKernels(ILogger logger, string scaleOf);

    [LoggerMessage(18, LogLevel.Information, "The matrices of the layers stay 8-bit floats in memory, with a scale for {ScaleOf}. "
        + "Of {Count} on this rank, {Quantised} are multiplied by activations that become 8-bit floats too, with a scale for each row and 128 inputs; "
        + "{InKernels} are widened by kernels that multiply, and {Whole} by plain operations before each product, as no kernel takes their blocks or the type.")]
    private static partial void LogFp8Products(ILogger logger, string scaleOf, int count, int quantised, int inKernels, int whole);

    [LoggerMessage(19, LogLevel.Information, "Products of many rows by 8-bit floats: {Way}.")]
    private static partial void LogManyRows(ILogger logger, string way);

    [LoggerMessage(15, LogLevel.Warning, "The matrices of the layers stay 8-bit floats in memory, with a scale for {ScaleOf}, but there are no kernels for them on {Device}: every product widens its matrix first, which is slow, and no step is recorded.")]
    private static partial void LogWidensFully(ILogger logger, string scaleOf, string device);

    // With the weights loaded, runs the largest step and gives the remaining memory to the KV cache.
    private void Measure(ICausalLanguageModel model, IDeviceMemory memory, IProgress<LoadProgress>? progress)
    {
        memory.ReleaseUnused();
        model.PreparePositions();
        progress?.Report(new("profiling the largest step", 0, 0));
        foreach (var layer in model.KvCache.Layers)
            memory.Reserve(layer, ActivationType, Plan.MaxModelLen, MaxNumSeqs);
        var rows = _rank.Plan.DataParallel == 1 ? null : new GroupRows(_rank.Place.Group, _rank.Plan.DataParallel);
        var gather = new LogitsGather(_rank.Tensor, _session.Ops, model.VocabularySize);
        StepProfile.Run(model, _session.Ops, CacheType, _options.StepTokens, _options.SampledRows, gather, rows);
        model.ForgetExpertUsage();
        // Ranks that share a device see each other's memory. After this meeting all have run their step, and each counts its share.
        _rank.Memory?.Meet();
        Plan = MakePlan(model, Plan.MaxModelLen, memory.Now.UsedBytes / _rank.RanksOnDevice);
    }

    private void Record(DecodeGraphs graphs, IProgress<LoadProgress>? progress)
    {
        progress?.Report(new("recording CUDA graphs", 0, 0));
        var before = _session.Memory.UsedBytes;
        graphs.CaptureAll();
        Plan = Plan with { GraphBytes = Math.Max(0, _session.Memory.UsedBytes - before) };
    }

    private WeightPacking ChoosePacking()
    {
        // Keeps second copies only if they and the weights together leave at least half of the budget to the KV cache.
        var gains = _session.Ops.Features.DecodeCopyTypes.Contains(ActivationType);
        var memory = _session.Memory;
        return gains && _session.Context.Weights.Bytes(ActivationType, WeightPacking.DecodeCopies) < AvailableBytes(memory) * Utilization(memory) / 2
            ? WeightPacking.DecodeCopies : WeightPacking.Compact;
    }

    private double Utilization(DeviceMemory memory) => _options.GpuMemoryUtilization ?? memory.DefaultUtilization;

    // This rank's share of memory that several ranks share.
    private long AvailableBytes(DeviceMemory memory) => memory.AvailableBytes / _rank.RanksOnDevice;

    // Memory for moving experts: at most copies of all of the rank's experts of one layer, beside the ones they replace.
    private long MovedBytes => _rebalancing?.Layers.Max(layer => (long?)_session.Context.Weights.Bytes(ActivationType, _packing, layer.Prefix + ".")) ?? 0;

    // usedBytes: all used memory of a device with memory of its own, after the largest step has run; null: not measured.
    private MemoryPlan MakePlan(ICausalLanguageModel model, int longest, long? usedBytes = null)
    {
        var elementSize = ActivationType.ElementSize();
        // Only the last stage has logits.
        var logits = _rank.Place.Stage == _rank.Plan.PipelineParallel - 1 ? (long)_options.SampledRows * Config.VocabSize * (elementSize + sizeof(float)) : 0;
        var memory = _session.Memory;
        var weights = _session.Context.Weights.Bytes(ActivationType, _packing);
        return MemoryPlanner.Plan(new()
        {
            AvailableBytes = AvailableBytes(memory),
            Utilization = Utilization(memory),
            WeightBytes = weights,
            ActivationBytes = MovedBytes + (usedBytes - weights
                ?? (_options.StepTokens * (Config.ActivationElements + ((_rank.Plan.DataParallel - 1) * Config.ExpertElements)) * elementSize)
                    + (_session.Ops.Device.type == TorchSharp.DeviceType.CPU ? Config.CpuWorkspaceBytes((long)_options.StepTokens * _rank.Plan.DataParallel, elementSize) : 0) + logits + (memory.UsedBytes / _rank.RanksOnDevice)),
            GraphBytes = Recorder(model) is not null && !_options.EnforceEager
                ? GraphAllowance * ((_recordedRows + EngineOptionsDefaults.MaxNumSeqs - 1) / EngineOptionsDefaults.MaxNumSeqs) : 0,
            BytesPerBlock = model.KvCache.BlockBytes(_session.Ops, CacheType),
            BlockSize = AttentionMetadata.BlockSize,
            ModelLength = longest,
            MaxModelLen = _options.MaxModelLen,
            MaxNumSeqs = MaxNumSeqs,
            KvCacheMemoryBytes = _options.KvCacheMemoryBytes,
            NumBlocksOverride = _options.NumGpuBlocksOverride,
        });
    }

    private static void RequireStages(ParallelPlan plan, ModelConfig config)
    {
        if (plan.PipelineParallel > 1 && !ModelRegistry.FamilyOf(config).SupportsPipelineParallel)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"pipeline_parallel_size is {plan.PipelineParallel}, but {config.Architecture} cannot be split into stages; set it to 1.",
                "pipeline_parallel_size");
        }
    }

    private static int ModelLength(EngineOptions options, ModelConfig config)
    {
        var longest = (int)Math.Min(config.MaxModelLength, int.MaxValue / 2);
        ModelLengths.Check(options, config);
        return options.MaxModelLen ?? longest;
    }
}
