using LocalLlm.Layers;
using LocalLlm.Ops;

namespace LocalLlm.Models;

/// <summary>
/// <c>quantization_config</c> of a checkpoint in 8-bit floats: matrices of the layers as e4m3 with a scale for every block, as DeepSeek-V3,
/// R1 and V3.1 are published (DeepSeek-AI, 2024, section 3.3), or for every output or matrix. Activations are not quantised here, whatever
/// scheme a checkpoint was made for.
/// </summary>
/// <param name="BlockRows">Outputs that share a scale; <see cref="Fp8Grid.Whole"/>: all.</param>
/// <param name="BlockColumns">Inputs that share a scale; <see cref="Fp8Grid.Whole"/>: all.</param>
/// <param name="Kept">
/// Modules that are stored as an unquantised model stores them: a full name, or some of its parts, such as <c>lm_head</c> or
/// <c>model.layers.3.mlp</c>.
/// </param>
internal sealed record QuantizationConfig(int BlockRows, int BlockColumns, IReadOnlyList<string> Kept)
{
    /// <summary>What the name of a matrix's scales ends with, after the matrix's own.</summary>
    public string ScaleSuffix { get; init; } = "_scale_inv";

    /// <summary>What has a scale, for messages.</summary>
    public string ScaleOf => (BlockRows, BlockColumns) switch
    {
        (Fp8Grid.Whole, _) => "each matrix",
        (1, Fp8Grid.Whole) => "each output",
        _ => $"each block of {BlockRows} x {BlockColumns}",
    };

    /// <summary>The method by which the layers load and multiply.</summary>
    public ILinearMethod CreateLinearMethod() => new Fp8LinearMethod(BlockRows, BlockColumns, ScaleSuffix, Keeps);

    /// <summary>Whether a module is stored unquantised: one of <see cref="Kept"/>, or a router's gate, which never is quantised.</summary>
    /// <param name="module">Its name, without <c>.weight</c>.</param>
    public bool Keeps(string module) => module.EndsWith(".mlp.gate", StringComparison.Ordinal) || Kept.Any(kept => Names(kept, module));

    /// <summary>Whether one of <see cref="Kept"/> means a module.</summary>
    public static bool Names(string kept, string module) => $".{module}.".Contains($".{kept}.", StringComparison.Ordinal);
}
