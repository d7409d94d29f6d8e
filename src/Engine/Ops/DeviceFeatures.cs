using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Optional features of a device, beyond the primitives of <see cref="IDeviceOps"/>. Every model runs without them.</summary>
internal sealed record DeviceFeatures
{
    /// <summary>No features: the device computes in the host's memory and runs every step operation by operation.</summary>
    public static DeviceFeatures None { get; } = new();

    /// <summary>Several primitives as one operation; null: layers compose them (<see cref="ComposedOps"/>).</summary>
    public IFusedOps? Fused { get; init; }

    /// <summary>Latent attention; null: by plain tensor operations (<see cref="TorchLatentOps"/>).</summary>
    public ILatentOps? Latent { get; init; }

    /// <summary>Mixtures of experts; null: by plain tensor operations (<see cref="TorchExpertOps"/>).</summary>
    public IExpertOps? Experts { get; init; }

    /// <summary>
    /// Products by matrices of 8-bit floats; null: layers widen the matrices by plain tensor operations (<see cref="TorchFp8Ops"/>).
    /// </summary>
    public IFp8Ops? Fp8 { get; init; }

    /// <summary>Records steps and repeats them; null: every step runs operation by operation.</summary>
    public IGraphCapture? GraphCapture { get; init; }

    /// <summary>Samples tokens; null: the host does.</summary>
    public ITokenSampler? TokenSampler { get; init; }

    /// <summary>
    /// The device's own memory: the engine runs the largest step to measure its use. Null: the host's memory, planned by an estimate.
    /// </summary>
    public IDeviceMemory? Memory { get; init; }

    /// <summary>Whether the device cannot compute in bfloat16. Checkpoints in bfloat16 are then computed in float16.</summary>
    public bool LacksBFloat16 { get; init; }

    /// <summary>
    /// Whether a weight stays in the memory that it was loaded to: layers with the same weight then share that memory. Else each layer
    /// keeps a form of its own.
    /// </summary>
    public bool SharesLoaded { get; init; }

    /// <summary>
    /// Whether every row of every result has the same bits alone and in any batch, in every type. The order of its additions then depends
    /// neither on the number of rows nor on how a sequence's tokens are cut into steps.
    /// </summary>
    public bool IsBatchInvariant { get; init; }

    /// <summary>
    /// Activation types in which single-sequence decoding is faster with a second copy of each matrix, in the layout that is fastest for
    /// one row (<see cref="Weights.WeightPacking.DecodeCopies"/>).
    /// </summary>
    public IReadOnlyList<ScalarType> DecodeCopyTypes { get; init; } = [];
}
