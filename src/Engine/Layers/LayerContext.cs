using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>What every layer is built with.</summary>
/// <param name="Ops">The device's operations.</param>
/// <param name="Collectives">The tensor-parallel group.</param>
/// <param name="Weights">Where the layer registers the tensors that it needs; it owns what is loaded, and the model disposes it.</param>
/// <param name="ActivationType">Type of activations, and of the KV cache unless that has 8-bit floats.</param>
internal sealed record LayerContext(IDeviceOps Ops, ICollectives Collectives, WeightRegistry Weights, ScalarType ActivationType)
{
    /// <summary>The device's fused operations, or the same composed of its primitives.</summary>
    public IFusedOps Fused { get; } = Ops.Features.Fused ?? new ComposedOps(Ops);

    /// <summary>The device's latent attention, or the plain one.</summary>
    public ILatentOps Latent { get; } = Ops.Features.Latent ?? new TorchLatentOps(Ops.Device);

    /// <summary>The device's routing of experts, or the plain one.</summary>
    public IExpertOps Experts { get; } = Ops.Features.Experts ?? new TorchExpertOps();

    /// <summary>The device's products by 8-bit floats, or the same by plain tensor operations.</summary>
    public IFp8Ops Fp8 { get; } = Ops.Features.Fp8 ?? new TorchFp8Ops(Ops.Device);

    /// <summary>All ranks that the routed experts are spread over: those of every data-parallel group of the stage.</summary>
    public ICollectives ExpertRanks { get; init; } = Collectives;

    /// <summary>
    /// The ranks with the same place in each data-parallel group, which exchange the groups' rows; null: there is one group.
    /// </summary>
    public ICollectives? Peers { get; init; }

    /// <summary>The layers of this rank.</summary>
    public PipelineStage Stage { get; init; } = PipelineStage.Whole;

    /// <summary>Where layers count the tokens of their experts.</summary>
    public ExpertUsage ExpertUsage { get; } = new();

    /// <summary>Whether the ranks of <see cref="ExpertRanks"/> hold whole experts instead of a part of every expert.</summary>
    public bool SpreadsExperts { get; init; }

    /// <summary>When experts are placed anew; null: they stay where they are.</summary>
    public ExpertRebalancing? Rebalancing { get; init; }

    /// <summary>From the stage before; null: this is the first.</summary>
    public IPipelineLink? Previous { get; init; }

    /// <summary>To the stage after; null: this is the last.</summary>
    public IPipelineLink? Next { get; init; }

    /// <summary>
    /// How matrices of the layers are stored and multiplied by; <c>with</c> another one for layers that are stored otherwise.
    /// </summary>
    public ILinearMethod LinearMethod { get; init; } = UnquantizedLinearMethod.Instance;
}
