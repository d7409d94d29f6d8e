using LocalLlm.Execution.Cluster;
using LocalLlm.Planning;

namespace LocalLlm.Execution;

/// <summary>Chooses where an engine's steps are executed.</summary>
internal interface IStepExecutorFactory
{
    /// <summary>Plans the model. Called on the thread that will make all calls of the executor.</summary>
    /// <param name="options">What the engine is loaded with.</param>
    /// <exception cref="EngineException">The folder is malformed, the options do not fit it, or memory is too small.</exception>
    IExecutorLoader Open(EngineOptions options);
}

/// <summary>The factory of every engine that names no other.</summary>
internal static class StepExecutorFactory
{
    /// <summary>Devices as the options say. Tests run whole suites on another one.</summary>
    public static IStepExecutorFactory Default { get; set; } = new DeviceExecutorFactory();
}

/// <summary>
/// Executes on the devices that the options name: one on the thread of the engine loop, further ones on threads of their own.
/// </summary>
internal sealed class DeviceExecutorFactory : IStepExecutorFactory
{
    /// <inheritdoc/>
    public IExecutorLoader Open(EngineOptions options)
    {
        if (ClusterLayout.IsNeeded(options))
            return new ClusterLoader(options);
        var plan = ParallelPlanner.CreateHere(options);
        var devices = NodeRanks.DevicesOf(options, plan.WorldSize);
        return plan.WorldSize == 1
            ? new ModelLoader(options.Devices is null ? options : options with { Device = devices[0] })
            : new ParallelLoader(options, NodeRanks.Create(plan, 0, devices, options.NumThreads));
    }
}
