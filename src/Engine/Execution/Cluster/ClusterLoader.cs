using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace LocalLlm.Execution.Cluster;

/// <summary>
/// Loads a model that is spread over several processes, in the one with the engine loop: plans its own ranks, waits until the others have
/// joined, and loads together with them.
/// </summary>
internal sealed class ClusterLoader : IExecutorLoader
{
    private readonly ClusterLayout _layout;
    private readonly ClusterHub _hub;
    private readonly IExecutorLoader _local; // without ranks of its own: only plans
    private readonly Action<Exception> _abortLocal = _ => { };
    private readonly bool _sharesUnasked; // cores or memory with other nodes of this host, if there are any
    private bool _handedOver;

    /// <summary>Plans what is here; nobody is waited for.</summary>
    /// <exception cref="EngineException">As of <see cref="ModelLoader"/>.</exception>
    public ClusterLoader(EngineOptions options)
    {
        _layout = ClusterLayout.Of(options);
        var logger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger(EngineMetrics.Name);
        var transport = options.NodeTransport ?? throw new InvalidOperationException("Options without a transport were not checked.");
        ClusterRanks.RequireDevices(options, _layout);
        var own = NodeIdentity.Of(options, _layout.Plan, 0);
        var dividesMemory = options.GpuMemoryUtilization is not null || options.KvCacheMemoryBytes is not null
            || options.NumGpuBlocksOverride is not null;
        _sharesUnasked = _layout.HubHoldsRanks && (options.NumThreads == 0 || !dividesMemory)
            && !ProcessDevices.AreGpus(NodeRanks.DevicesOf(options, _layout.Plan.RanksPerNode));
        _hub = new(_layout, own, transport(Named(options)), ClusterTimes.Of(options), new GuardedLogger(logger));
        try
        {
            if (_layout.HubHoldsRanks)
                (_local, _abortLocal) = ClusterRanks.Open(options, _layout, 0, _hub);
            else
                _local = new ModelLoader(options, ClusterRanks.Planned(options, _layout.Plan));
        }
        catch
        {
            _hub.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public ModelConfig Config => _local.Config;

    /// <inheritdoc/>
    public ScalarType ComputeType => _local.ComputeType;

    /// <inheritdoc/>
    public MemoryPlan Plan => _local.Plan;

    /// <inheritdoc/>
    public void CheckWeights() => _local.CheckWeights();

    /// <inheritdoc/>
    public IStepExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        _local.CheckWeights();
        _hub.Join(progress, cancellationToken);
        if (_sharesUnasked)
            _hub.WarnOfSharedHosts();
        // One that fails while it loads is one that the others wait for.
        _hub.Lost.ContinueWith(lost => _abortLocal(lost.Result), TaskScheduler.Default);
        using var cancellation = cancellationToken.Register(() => _hub.Abort(new OperationCanceledException("loading was given up")));
        IStepExecutor? local = null;
        try
        {
            if (_layout.HubHoldsRanks)
                local = _local.Load(grammars, progress, cancellationToken);
            else
                _hub.AgreeOnOthers();
            progress?.Report(new("waiting for the other nodes to load", 0, 0));
            var executor = new ClusterExecutor(_layout, _hub, local, _hub.TakeLoaded());
            _handedOver = true;
            return executor;
        }
        catch (Exception failure)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var reason = failure is RankFailedException && _hub.Lost.IsCompleted ? _hub.Lost.Result : failure;
            _hub.Abort(reason);
            local?.Dispose();
            if (reason == failure && failure is not RankFailedException)
                throw;
            throw ClusterHub.Failed(reason);
        }
    }

    // Who starts the ranks has to know on what.
    private static EngineOptions Named(EngineOptions options) => !options.UsesProcesses || options.Devices is not null
        ? options : options with { Device = DeviceRegistry.KindOf(ProcessDevices.Of(options)[0]) };

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_handedOver)
            _hub.Dispose();
        _local.Dispose();
    }
}
