using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>Creates the plan of the ranks from an engine's options and its model's configuration, before any weight is read.</summary>
internal static class ParallelPlanner
{
    // Every plan fits on such a device, so only the number of devices decides.
    private static readonly GpuCard s_unlimited = new("device", GpuCard.UnlimitedBytes);

    /// <summary>The plan that options ask for, for the model in their folder.</summary>
    /// <param name="options">Options with a local folder. If they ask for one device, nothing is read.</param>
    /// <param name="localDevices">Devices per host; null: unknown, or no limit.</param>
    /// <exception cref="EngineException">As <see cref="Create(EngineOptions, ModelShape, int?, IReadOnlyList{GpuCard})"/>; kind
    /// ModelFolder: config.json.</exception>
    public static ParallelPlan Create(EngineOptions options, int? localDevices)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options is { TensorParallel: 1, PipelineParallel: 1, DataParallel: 1, Nodes: 1, PipelineLayers: null, Devices: null, EnableExpertParallel: false, ExpertBalancing: null })
            return ParallelPlan.Single;
        return Create(options, ModelShapeReader.Load(options.ModelPath), localDevices);
    }

    /// <summary>As <see cref="Create(EngineOptions, int?)"/>, for this machine's devices.</summary>
    /// <exception cref="EngineException">As <see cref="Create(EngineOptions, ModelShape, int?, IReadOnlyList{GpuCard})"/>; kind
    /// Environment: there is no such device.</exception>
    public static ParallelPlan CreateHere(EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        DeviceOptions.Require(options);
        if (options is { TensorParallel: 1, PipelineParallel: 1, DataParallel: 1 })
            return Create(options, localDevices: null);
        var (cards, count) = LocalCards.Find(options);
        return Create(options, ModelShapeReader.Load(options.ModelPath), count, cards[0].IsCpu ? null : cards);
    }

    /// <summary>
    /// The plan that options ask for, with the layers of each stage: the given ones, or the split that leaves the most room on the fullest
    /// stage.
    /// </summary>
    /// <param name="options">The options that the engine loads with.</param>
    /// <param name="shape">Its model.</param>
    /// <param name="localDevices">Devices per host; null: unknown, or no limit.</param>
    /// <param name="cards">The device of every rank, or of the ranks of each stage. Layers are split by the devices' memory, and errors
    /// offer only plans that fit. Null: unknown.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: every fault, then the command lines that would fit this model on such
    /// devices; Parameter is the first fault's option.</exception>
    public static ParallelPlan Create(EngineOptions options, ModelShape shape, int? localDevices, IReadOnlyList<GpuCard>? cards = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        var request = ParallelRequest.Of(options, localDevices);
        cards ??= [s_unlimited];
        shape = shape with { SpreadsExperts = options.EnableExpertParallel, RedundantExperts = options.ExpertBalancing?.NumRedundantExperts ?? 0 };
        var dtype = ModelDtypes.Find(options.Dtype) ?? shape.Dtype ?? ModelDtype.BFloat16;
        var parts = new ModelParts(shape);
        var capacity = new CapacityPlanner(parts, cards, options, PlanSettings.Of(options, dtype, computesOnCpu: false));
        var faults = ParallelRules.FaultsOf(request, parts.Split);
        if (faults.Count == 0)
            return capacity.Estimate(ParallelPlan.Create(request, shape.Split)).Plan;
        var choices = PlanOffers.Of(request, capacity, localDevices, new(options, options.Dtype, isHere: true));
        throw new EngineException(
            EngineErrorKind.InvalidOptions, PlanTexts.Refusal([.. faults.Select(fault => fault.ToString())], choices, cards), faults[0].Option);
    }
}
