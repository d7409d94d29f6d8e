using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// What loading any model needs, whether it generates or embeds: an open device, the open weight files, and the context in which layers
/// register the weights that they need. Owns all of these, the device only until <see cref="HandOver"/>. Used by one thread.
/// </summary>
internal sealed partial class LoadSession : IDisposable
{
    private readonly EngineOptions _options;
    private readonly Checkpoint? _checkpoint; // null: there are no weights to read
    private readonly PlannedDevice? _planned; // null: the device is open
    private bool _handedOver;

    /// <summary>Loads libtorch, opens the device and reads the headers of the weights.</summary>
    /// <param name="options">The options: folder and data types.</param>
    /// <param name="rank">Device, threads and peers.</param>
    /// <param name="configured">The data type that config.json names; null: none.</param>
    /// <param name="whenUnsaid">The data type if neither the options nor config.json name one; null: that of most weights.</param>
    /// <param name="priority">Priority over other engines on the device.</param>
    /// <exception cref="EngineException">Kind ModelFolder or Environment. Everything opened so far is closed.</exception>
    public LoadSession(EngineOptions options, RankContext rank, ModelDtype? configured, ScalarType? whenUnsaid, DevicePriority priority)
    {
        _options = options;
        TorchLibrary.EnsureLoaded(options.LibTorchPath);
        SetThreads(rank.NumThreads > 0 ? rank.NumThreads : options.NumThreads);
        if (options.PinThreads && rank.Rank == 0 && get_num_threads() == 1 && Logger is { } logger)
            LogNothingPinned(logger);
        var settings = new DeviceSettings(priority, options.BatchInvariant) 
        {
            Cpus = options.PinThreads ? CpusOf(rank) : null, PipelineStages = rank.Plan.PipelineParallel, CudaArchitecture = options.CudaArch,
            GpuMemoryBytes = options.GpuMemoryBytes,
        };
        _planned = rank.IsPlanned ? DeviceRegistry.TryPlan(rank.Device, settings) : null;
        Ops = _planned?.Ops ?? DeviceRegistry.Create(rank.Device, settings);
        try
        {
            DeviceSupport.RequireArchitecture(options, Ops);
            DeviceSupport.RequireMemory(options, Ops);
            DeviceSupport.RequireType(options, Ops);
            _checkpoint = options.UsesDummyWeights ? null : Open(options);
            // Validating the options has already refused unknown type names.
            var type = (ModelDtypes.Find(options.Dtype) ?? configured)?.ToScalarType()
                ?? whenUnsaid ?? (_checkpoint is null ? ScalarType.BFloat16 : PredominantType(_checkpoint));
            ComputeType = type == ScalarType.BFloat16 && Ops.Features.LacksBFloat16 ? ScalarType.Float16 : type;
            if (type != ComputeType && rank.Rank == 0 && Logger is { } log)
                LogFloat16(log, rank.Device);
            Context = new(Ops, rank.Tensor, new WeightRegistry(), Ops.ActivationType(ComputeType)) { ExpertRanks = rank.Experts ?? rank.Tensor, Peers = rank.Peers };
            // If groups have one rank each, rows and sums go over the same connection object.
            foreach (var connection in ((object?[])[rank.Tensor, rank.Experts, rank.Peers, rank.Previous, rank.Next, rank.SampledIds]).OfType<IDeviceBound>().Distinct())
                connection.Bind(Ops);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The device.</summary>
    public IDeviceOps Ops { get; }

    /// <summary>The context that layers are built with.</summary>
    public LayerContext Context { get; }

    /// <summary>The requested data type; activations may be wider (on a CPU, float16 is computed in float32).</summary>
    public ScalarType ComputeType { get; }

    /// <summary>The current state of the device's memory.</summary>
    public DeviceMemory Memory =>
        _planned?.Memory ?? Ops.Features.Memory?.Now ?? new(HostMemory.AvailableBytes(), 0, EngineOptionsDefaults.CpuMemoryUtilization);

    /// <summary>
    /// Checks, without reading the weights, that they fit the model that has registered them; warnings go to the options' logger.
    /// </summary>
    /// <exception cref="EngineException">Kind ModelFolder: every missing, unexpected and mis-shaped tensor in one message.</exception>
    public void CheckWeights()
    {
        if (_checkpoint is not null)
            WeightLoader.Check(Context.Weights, _checkpoint, Logger);
    }

    /// <summary>Reads the registered weights.</summary>
    /// <param name="packing">Which copies of matrices to keep.</param>
    /// <param name="progress">Receives the bytes read, after every chunk.</param>
    /// <param name="cancellationToken">Cancels loading.</param>
    /// <exception cref="EngineException">Like <see cref="CheckWeights"/>, or a file cannot be read.</exception>
    public void LoadWeights(WeightPacking packing, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        var bytes = progress is null ? null : new BytesRead(progress, _checkpoint is null ? "making dummy weights" : "reading weights");
        if (_checkpoint is null)
        {
            DummyWeights.Load(Context.Weights, Ops.Device, Context.ActivationType, packing, bytes, cancellationToken);
            return;
        }

        using var staging = Ops.Features.Memory?.CreateStaging();
        WeightLoader.Load(Context.Weights, _checkpoint, Context.ActivationType, staging, bytes, cancellationToken, Logger, packing);
    }

    /// <summary>Hands the device to the caller, who owns it from now on.</summary>
    public IDeviceOps HandOver()
    {
        _handedOver = true;
        return Ops;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _checkpoint?.Dispose();
        if (_handedOver)
            return;
        Context?.Weights.Dispose();
        (Ops as IDisposable)?.Dispose();
    }

    // libtorch ignores a control group's quota. A smaller number than its own is a choice of the application or the environment.
    private static void SetThreads(int threads)
    {
        if (threads > 0)
            set_num_threads(threads);
        else if (get_num_threads() > HostCores.Count && Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is null)
            set_num_threads(HostCores.Count);
    }

    // The ranks of one process are pinned side by side.
    private static int[] CpusOf(RankContext rank)
    {
        var threads = get_num_threads();
        return [.. HostCores.Cpus.Skip(rank.Place.LocalIndex * threads).Take(threads)];
    }

    [LoggerMessage(16, LogLevel.Warning, "pin_threads is set, but a rank computes with one thread, and only those that help it are pinned: nothing is. Leave it out, or give more threads (num_threads) to fewer ranks.")]
    private static partial void LogNothingPinned(ILogger logger);

    [LoggerMessage(25, LogLevel.Warning, "{Device} does not compute in the checkpoint's bfloat16 (its compute capability, or cuda_arch, is below 8.0): the model is computed in float16.")]
    private static partial void LogFloat16(ILogger logger, string device);

    private ILogger? Logger => _options.LoggerFactory?.CreateLogger(typeof(WeightLoader));

    private static Checkpoint Open(EngineOptions options)
    {
        var checkpoint = Checkpoint.Open(options.ModelPath);
        if (options.LoadFormat != "safetensors" || !checkpoint.Files.Any(file => file is TorchPickleFile))
            return checkpoint;
        var name = checkpoint.FileName;
        checkpoint.Dispose();
        throw EngineException.ModelFolder(name, "holds the weights in PyTorch's own format, but load_format is safetensors; set it to auto");
    }

    private static ScalarType PredominantType(Checkpoint checkpoint) =>
        checkpoint.Tensors.Values.Where(tensor =>
            tensor.Info.Dtype is SafetensorsDtype.BF16 or SafetensorsDtype.F16 or SafetensorsDtype.F32)
            .GroupBy(tensor => tensor.Info.Dtype).MaxBy(group => group.Sum(tensor => tensor.Info.ByteLength))?.Key switch
        {
            SafetensorsDtype.F16 => ScalarType.Float16,
            SafetensorsDtype.BF16 => ScalarType.BFloat16,
            _ => ScalarType.Float32,
        };

    private sealed class BytesRead(IProgress<LoadProgress> progress, string phase) : IProgress<WeightProgress>
    {
        public void Report(WeightProgress value) => progress.Report(new(phase, value.BytesDone, value.BytesTotal));
    }
}
