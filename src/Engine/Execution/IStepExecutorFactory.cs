using LocalLlm.Execution.Cluster;
using LocalLlm.Planning;

namespace LocalLlm.Execution;

/// <summary>Chooses the executor of an engine's steps.</summary>
internal interface IStepExecutorFactory
{
    /// <summary>Plans the model. Called on the thread that will make all calls to the executor.</summary>
    /// <param name="options">The engine's options.</param>
    /// <exception cref="EngineException">The folder is malformed, the options do not fit it, or memory is too small.</exception>
    IExecutorLoader Open(EngineOptions options);
}

/// <summary>The factory of every engine that does not set another one.</summary>
internal static class StepExecutorFactory
{
    /// <summary>Uses the devices that the options name. Tests replace it to run whole suites on another executor.</summary>
    public static IStepExecutorFactory Default { get; set; } = new DeviceExecutorFactory();
}

/// <summary>
/// Executes on the devices that the options name: one on the engine loop's thread, each further one on a thread of its own.
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
