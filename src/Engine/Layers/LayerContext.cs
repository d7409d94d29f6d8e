using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>What every layer is built with.</summary>
/// <param name="Ops">The device's operations.</param>
/// <param name="Collectives">The tensor-parallel group.</param>
/// <param name="Weights">Where the layer registers its tensors. The registry owns the loaded tensors; the model disposes it.</param>
/// <param name="ActivationType">Type of activations, and of the KV cache unless that has 8-bit floats.</param>
internal sealed record LayerContext(IDeviceOps Ops, ICollectives Collectives, WeightRegistry Weights, ScalarType ActivationType)
{
    /// <summary>The device's fused operations; without them, the same operations composed from its primitives.</summary>
    public IFusedOps Fused { get; } = Ops.Features.Fused ?? new ComposedOps(Ops);

    /// <summary>The device's latent attention; without it, the plain one.</summary>
    public ILatentOps Latent { get; } = Ops.Features.Latent ?? new TorchLatentOps(Ops.Device);

    /// <summary>The device's routing of experts; without it, the plain one.</summary>
    public IExpertOps Experts { get; } = Ops.Features.Experts ?? new TorchExpertOps();

    /// <summary>The device's products with 8-bit floats; without them, the same by plain tensor operations.</summary>
    public IFp8Ops Fp8 { get; } = Ops.Features.Fp8 ?? new TorchFp8Ops(Ops.Device);

    /// <summary>All ranks that share the routed experts: those of every data-parallel group of the stage.</summary>
    public ICollectives ExpertRanks { get; init; } = Collectives;

    /// <summary>
    /// The ranks at the same position in each data-parallel group, which exchange the groups' rows; null: there is only one group.
    /// </summary>
    public ICollectives? Peers { get; init; }

    /// <summary>The layers of this rank.</summary>
    public PipelineStage Stage { get; init; } = PipelineStage.Whole;

    /// <summary>Where layers count the tokens of their experts.</summary>
    public ExpertUsage ExpertUsage { get; } = new();

    /// <summary>Whether the ranks of <see cref="ExpertRanks"/> hold whole experts instead of a part of every expert.</summary>
    public bool SpreadsExperts { get; init; }

    /// <summary>When experts are placed anew; null: never.</summary>
    public ExpertRebalancing? Rebalancing { get; init; }

    /// <summary>The link from the previous stage; null: this is the first.</summary>
    public IPipelineLink? Previous { get; init; }

    /// <summary>The link to the next stage; null: this is the last.</summary>
    public IPipelineLink? Next { get; init; }

    /// <summary>
    /// How the layers' matrices are stored and multiplied by; use <c>with</c> for layers that need another method.
    /// </summary>
    public ILinearMethod LinearMethod { get; init; } = UnquantizedLinearMethod.Instance;
}
