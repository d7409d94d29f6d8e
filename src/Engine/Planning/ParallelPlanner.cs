using LocalLlm.Models;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>From an engine's options and its model's configuration to the plan of its ranks, before any weight is read.</summary>
internal static class ParallelPlanner
{
    // Every plan fits such a device: only counts decide.
    private static readonly GpuCard s_unlimited = new("device", GpuCard.UnlimitedBytes);

    /// <summary>The plan that options ask for, of the model in their folder.</summary>
    /// <param name="options">With a local folder. Options that ask for one device read nothing.</param>
    /// <param name="localDevices">Devices that one host has; null: not known, or no limit.</param>
    /// <exception cref="EngineException">As <see cref="Create(EngineOptions, ModelShape, int?, long?)"/>; kind ModelFolder: config.json.</exception>
    public static ParallelPlan Create(EngineOptions options, int? localDevices)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options is { TensorParallel: 1, PipelineParallel: 1, Nodes: 1, PipelineLayers: null, Devices: null })
            return ParallelPlan.Single;
        return Create(options, ModelShapeReader.Load(options.ModelPath), localDevices);
    }

    /// <summary>As <see cref="Create(EngineOptions, int?)"/>, on the devices that this machine has.</summary>
    /// <exception cref="EngineException">As <see cref="Create(EngineOptions, ModelShape, int?, long?)"/>; kind Environment: there is no such device.</exception>
    public static ParallelPlan CreateHere(EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        // Ranks may share a device that is named by its number: what it has is seen when it is opened.
        if (options is { TensorParallel: 1, PipelineParallel: 1 } || options.Devices is not null || options.Device.Contains(':', StringComparison.Ordinal))
            return Create(options, localDevices: null);
        var (card, count) = LocalCards.Find(options.Device, options.TensorParallel * options.PipelineParallel);
        return Create(options, ModelShapeReader.Load(options.ModelPath), count, card.IsCpu ? null : card.MemoryBytes);
    }

    /// <summary>The plan that options ask for, with the layers of each stage: those given, or so that the fullest stage is as empty as it can be.</summary>
    /// <param name="options">What the engine is loaded with.</param>
    /// <param name="shape">Its model.</param>
    /// <param name="localDevices">Devices that one host has; null: not known, or no limit.</param>
    /// <param name="deviceBytes">Memory of a device, so that only plans that fit are offered in the place of one that is not possible; null: not known.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: every fault, then the command lines that would fit this model on such devices; Parameter is
    /// the first fault's option.</exception>
    public static ParallelPlan Create(EngineOptions options, ModelShape shape, int? localDevices, long? deviceBytes = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        var request = ParallelRequest.Of(options, localDevices);
        var card = deviceBytes is { } bytes ? new GpuCard("device", bytes) : s_unlimited;
        var dtype = ModelDtypes.Find(options.Dtype) ?? shape.Dtype ?? ModelDtype.BFloat16;
        var capacity = new CapacityPlanner(new(shape), [card], options, PlanSettings.Of(options, dtype));
        var faults = ParallelRules.FaultsOf(request, shape.Split);
        if (faults.Count == 0)
            return capacity.Estimate(ParallelPlan.Create(request, shape.Split)).Plan;
        var choices = PlanOffers.Of(request, capacity, localDevices, options, []);
        throw new EngineException(
            EngineErrorKind.InvalidOptions, PlanTexts.Refusal([.. faults.Select(fault => fault.ToString())], choices, [card]), faults[0].Option);
    }
}
