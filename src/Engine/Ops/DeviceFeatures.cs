using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>What a device has beside the primitives of <see cref="IDeviceOps"/>. A device without any of it runs every model.</summary>
internal sealed record DeviceFeatures
{
    /// <summary>Nothing: computes in the host's memory, step by step.</summary>
    public static DeviceFeatures None { get; } = new();

    /// <summary>Several primitives as one operation; null: layers compose them (<see cref="ComposedOps"/>).</summary>
    public IFusedOps? Fused { get; init; }

    /// <summary>Latent attention; null: by plain tensor operations (<see cref="TorchLatentOps"/>).</summary>
    public ILatentOps? Latent { get; init; }

    /// <summary>Mixtures of experts; null: by plain tensor operations (<see cref="TorchExpertOps"/>).</summary>
    public IExpertOps? Experts { get; init; }

    /// <summary>
    /// Products by matrices of 8-bit floats; null: layers widen them by plain tensor operations (<see cref="TorchFp8Ops"/>).
    /// </summary>
    public IFp8Ops? Fp8 { get; init; }

    /// <summary>Records steps and repeats them; null: every step is run.</summary>
    public IGraphCapture? GraphCapture { get; init; }

    /// <summary>Chooses tokens; null: the host does.</summary>
    public ITokenSampler? TokenSampler { get; init; }

    /// <summary>
    /// Memory of its own, which is measured by running the largest step; null: the host's, which is planned by an estimate.
    /// </summary>
    public IDeviceMemory? Memory { get; init; }

    /// <summary>Whether it does not compute in bfloat16: a checkpoint's is computed in float16 then.</summary>
    public bool LacksBFloat16 { get; init; }

    /// <summary>
    /// Whether a weight stays where it was loaded to, so that layers which need the same one share its memory; else each makes its own of
    /// it.
    /// </summary>
    public bool SharesLoaded { get; init; }

    /// <summary>
    /// Whether a row of every result is the same bits alone and in any batch, in every type: the order of its additions does not depend on
    /// the number of rows, nor on how a sequence's tokens are cut into steps.
    /// </summary>
    public bool IsBatchInvariant { get; init; }

    /// <summary>
    /// Activation types in which single-sequence decoding is faster with a second copy of each matrix in the layout that is fastest for
    /// one row (<see cref="Weights.WeightPacking.DecodeCopies"/>).
    /// </summary>
    public IReadOnlyList<ScalarType> DecodeCopyTypes { get; init; } = [];
}
