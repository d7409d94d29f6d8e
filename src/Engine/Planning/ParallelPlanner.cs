using LocalLlm.Models;
using LocalLlm.Ops;
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
    /// <exception cref="EngineException">As <see cref="Create(EngineOptions, ModelShape, int?, IReadOnlyList{GpuCard})"/>; kind
    /// ModelFolder: config.json.</exception>
    public static ParallelPlan Create(EngineOptions options, int? localDevices)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options is { TensorParallel: 1, PipelineParallel: 1, DataParallel: 1, Nodes: 1, PipelineLayers: null, Devices: null, EnableExpertParallel: false, ExpertBalancing: null })
            return ParallelPlan.Single;
        return Create(options, ModelShapeReader.Load(options.ModelPath), localDevices);
    }

    /// <summary>As <see cref="Create(EngineOptions, int?)"/>, on the devices that this machine has.</summary>
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
    /// The plan that options ask for, with the layers of each stage: those given, or so that the fullest stage is as empty as it can be.
    /// </summary>
    /// <param name="options">What the engine is loaded with.</param>
    /// <param name="shape">Its model.</param>
    /// <param name="localDevices">Devices that one host has; null: not known, or no limit.</param>
    /// <param name="cards">The device of every rank, or of the ranks of each stage: layers follow their memory, and only plans that fit are
    /// offered in the place of one that is not possible; null: not known.</param>
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
