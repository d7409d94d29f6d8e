namespace LocalLlm.Layers;

/// <summary>
/// Decides when the experts of a rank's layers are placed anew: after a fixed number of steps, from the loads of the last few of them.
/// All ranks of a stage compute the same steps, so they rebalance together. Not thread-safe.
/// </summary>
/// <param name="options">How often, and from how many steps' loads.</param>
internal sealed class ExpertRebalancing(ExpertBalancingOptions options) : IDisposable
{
    private readonly List<RoutedExperts> _layers = [];
    private long _steps;

    /// <summary>Copies of experts in each layer, over all ranks.</summary>
    public int RedundantExperts => options.NumRedundantExperts;

    /// <summary>The layers whose experts move on this rank.</summary>
    public IReadOnlyList<RoutedExperts> Layers => _layers;

    /// <summary>Adds a layer.</summary>
    public void Add(RoutedExperts layer) => _layers.Add(layer);

    /// <summary>Forgets what was measured so far.</summary>
    public void ForgetLoads() => _layers.ForEach(static layer => layer.BeginWindow());

    /// <summary>Counts a step that this rank has computed or queued.</summary>
    public void EndStep()
    {
        _steps++;
        var ofInterval = _steps % options.StepInterval;
        if (ofInterval == 0)
            _layers.ForEach(static layer => layer.Rebalance());
        if (ofInterval == options.StepInterval - options.WindowSize)
            _layers.ForEach(static layer => layer.BeginWindow());
    }

    /// <summary>Frees what the layers keep on the device.</summary>
    public void Dispose() => _layers.ForEach(static layer => layer.Shares?.Dispose());
}
