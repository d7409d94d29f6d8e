using LocalLlm.Interop;
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
/// From a model folder and options to a planned, then loaded, executor. Planning reads headers only. One instance serves one rank and must be
/// used from the executor's thread. Owns everything it has opened until <see cref="Load"/> hands it to the executor.
/// </summary>
internal sealed class ModelLoader : IDisposable
{
    // What the driver keeps for the recorded steps of every 256 sequences.
    private const long GraphAllowance = 256L << 20;

    private readonly EngineOptions _options;
    private readonly Checkpoint _checkpoint;
    private readonly WeightRegistry _registry = new();
    private readonly IDeviceOps _ops;
    private readonly ScalarType _activationType;
    private ICausalLanguageModel? _model;
    private bool _handedOver;

    /// <summary>Reads config.json and the headers of the weights, builds the model without weights, and plans the memory.</summary>
    /// <exception cref="EngineException">The folder is malformed, the options do not fit it, or memory is too small.</exception>
    public ModelLoader(EngineOptions options)
    {
        _options = options;
        Config = ModelConfig.Load(options.ModelPath);
        TorchLibrary.EnsureLoaded(options.LibTorchPath);
        if (options.NumThreads > 0)
            set_num_threads(options.NumThreads);
        _ops = DeviceOps.Create(options.Device);
        try
        {
            _checkpoint = Checkpoint.Open(options.ModelPath);
            ComputeType = ResolveDtype(options.Dtype, Config, _checkpoint);
            _activationType = _ops.ActivationType(ComputeType);
            var longest = ModelLength(options, Config);
            _model = ModelRegistry.Create(Config, new LayerContext(_ops, new SingleRankCollectives(), _registry, _activationType), longest, options.StepTokens);
            Plan = MakePlan(longest);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The model's config.json.</summary>
    public ModelConfig Config { get; }

    /// <summary>The type asked for; activations may be wider (float16 on a CPU is computed in float32).</summary>
    public ScalarType ComputeType { get; }

    /// <summary>Where the memory goes: an estimate, on a GPU replaced by what was measured once the model is loaded.</summary>
    public MemoryPlan Plan { get; private set; }

    /// <summary>Checks that the weights fit the model, without reading them; warnings go to the options' logger.</summary>
    /// <exception cref="EngineException">The weights do not fit the configuration.</exception>
    public void CheckWeights() => WeightLoader.Check(_registry, _checkpoint, _options.LoggerFactory?.CreateLogger(typeof(WeightLoader)));

    /// <summary>Reads the weights and allocates the KV cache.</summary>
    /// <param name="grammars">Compiles the grammars of new sequences; null without a tokenizer.</param>
    /// <param name="progress">Receives phases and bytes.</param>
    /// <param name="cancellationToken">Gives up loading.</param>
    /// <exception cref="EngineException">The weights do not fit the configuration.</exception>
    public LocalExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        var model = _model ?? throw new InvalidOperationException("The model was already handed out.");
        var weightProgress = progress is null ? null : new WeightProgressAdapter(progress);
        var logger = _options.LoggerFactory?.CreateLogger(typeof(WeightLoader));
        using (var staging = _ops.CreateStaging())
            WeightLoader.Load(_registry, _checkpoint, _activationType, staging, weightProgress, cancellationToken, logger);
        if (_ops is IGraphCapture capture)
            return LoadOnGpu(model, capture, grammars, progress);
        progress?.Report(new("allocating the KV cache", 0, 0));
        var caches = KvCacheTensors.Allocate(_ops, model.AttentionShapes, Plan.NumBlocks, _activationType);
        return HandOver(model, caches, null, grammars);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _checkpoint?.Dispose();
        _model?.Dispose();
        if (!_handedOver)
            (_ops as IDisposable)?.Dispose();
    }

    // Weights are there: runs the largest step, sees what is left, and gives it to the KV cache; then records the decode steps.
    private LocalExecutor LoadOnGpu(ICausalLanguageModel model, IGraphCapture capture, ResponseGrammars? grammars, IProgress<LoadProgress>? progress)
    {
        _ops.ReleaseUnusedMemory();
        model.Rotary.PrepareAll();
        progress?.Report(new("profiling the largest step", 0, 0));
        foreach (var shape in model.AttentionShapes)
            capture.Reserve(shape, _activationType, Plan.MaxModelLen, MaxNumSeqs);
        StepProfile.Run(model, _ops, _activationType, _options.StepTokens, MaxNumSeqs);
        Plan = MakePlan(Plan.MaxModelLen, _ops.Memory.UsedBytes);
        progress?.Report(new("allocating the KV cache", 0, 0));
        var caches = KvCacheTensors.Allocate(_ops, model.AttentionShapes, Plan.NumBlocks, _activationType);
        var graphs = new DecodeGraphs(model, capture, caches, MaxNumSeqs, Plan.MaxModelLen, _options.EnforceEager);
        try
        {
            progress?.Report(new("recording CUDA graphs", 0, 0));
            var before = _ops.Memory.UsedBytes;
            graphs.CaptureAll();
            Plan = Plan with { GraphBytes = Math.Max(0, _ops.Memory.UsedBytes - before) };
            return HandOver(model, caches, graphs, grammars);
        }
        catch
        {
            graphs.Dispose();
            foreach (var cache in caches)
                cache.Dispose();
            throw;
        }
    }

    private LocalExecutor HandOver(ICausalLanguageModel model, IReadOnlyList<KvLayerCache> caches, DecodeGraphs? graphs, ResponseGrammars? grammars)
    {
        _model = null;
        _handedOver = true;
        return new(model, _ops, caches, graphs, _options.LogprobsMode, Plan, grammars);
    }

    private int MaxNumSeqs => _options.MaxNumSeqs ?? Math.Min(EngineOptionsDefaults.MaxNumSeqs, _options.StepTokens);

    // usedBytes: all that is taken on a GPU once the largest step has run; null: not measured.
    private MemoryPlan MakePlan(int longest, long? usedBytes = null)
    {
        var elementSize = _activationType.ElementSize();
        var config = Config;
        // The widest moment of a layer: residual, normed input, qkv, attention, gate and up, and their product.
        var perToken = (4L * config.HiddenSize) + (2L * config.NumAttentionHeads * config.HeadDim) + (2L * config.NumKeyValueHeads * config.HeadDim) + (3L * config.IntermediateSize);
        var logits = (long)MaxNumSeqs * config.VocabSize * (elementSize + sizeof(float));
        var memory = _ops.Memory;
        var utilization = _options.GpuMemoryUtilization ?? memory.DefaultUtilization;
        var weights = _registry.Groups.SelectMany(group => group.Parts).Sum(PartElements) * elementSize;

        // Second copies only where both together leave at least half of the budget to the KV cache.
        _ops.KeepDecodeCopies = _ops.GainsFromDecodeCopies(_activationType) && 2 * weights < memory.AvailableBytes * utilization / 2;
        if (_ops.KeepDecodeCopies)
            weights *= 2;
        return MemoryPlanner.Plan(new()
        {
            AvailableBytes = memory.AvailableBytes,
            Utilization = utilization,
            WeightBytes = weights,
            ActivationBytes = usedBytes - weights ?? (_options.StepTokens * perToken * elementSize) + logits + memory.UsedBytes,
            GraphBytes = _ops is IGraphCapture && !_options.EnforceEager ? GraphAllowance * ((MaxNumSeqs + EngineOptionsDefaults.MaxNumSeqs - 1) / EngineOptionsDefaults.MaxNumSeqs) : 0,
            BytesPerBlock = KvCacheTensors.BlockBytes(_ops, _model!.AttentionShapes, _activationType),
            BlockSize = AttentionMetadata.BlockSize,
            ModelLength = longest,
            MaxModelLen = _options.MaxModelLen,
            MaxNumSeqs = MaxNumSeqs,
            KvCacheMemoryBytes = _options.KvCacheMemoryBytes,
            NumBlocksOverride = _options.NumGpuBlocksOverride,
        });
    }

    private static long PartElements(WeightPart part) => part.SliceShape.Aggregate(1L, (product, size) => product * size);

    private static int ModelLength(EngineOptions options, ModelConfig config)
    {
        var longest = (int)Math.Min(config.MaxModelLength, int.MaxValue / 2);
        EngineOptionsValidator.CheckLength(options, config);
        return options.MaxModelLen ?? longest;
    }

    // A name that is no type was refused with the options.
    private static ScalarType ResolveDtype(string dtype, ModelConfig config, Checkpoint checkpoint) => (ModelDtypes.Find(dtype) ?? config.Dtype) switch
    {
        ModelDtype.Float32 => ScalarType.Float32,
        ModelDtype.Float16 => ScalarType.Float16,
        ModelDtype.BFloat16 => ScalarType.BFloat16,
        _ => MostCommonType(checkpoint),
    };

    private static ScalarType MostCommonType(Checkpoint checkpoint) =>
        checkpoint.Tensors.Values.Where(tensor => tensor.Info.Dtype is SafetensorsDtype.BF16 or SafetensorsDtype.F16 or SafetensorsDtype.F32).GroupBy(tensor => tensor.Info.Dtype).MaxBy(group => group.Sum(tensor => tensor.Info.ByteLength))?.Key switch
        {
            SafetensorsDtype.BF16 => ScalarType.BFloat16,
            SafetensorsDtype.F16 => ScalarType.Float16,
            _ => ScalarType.Float32,
        };

    private sealed class WeightProgressAdapter(IProgress<LoadProgress> progress) : IProgress<WeightProgress>
    {
        public void Report(WeightProgress value) => progress.Report(new("reading weights", value.BytesDone, value.BytesTotal));
    }
}
