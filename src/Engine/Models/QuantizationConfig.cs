using LocalLlm.Layers;
using LocalLlm.Ops;

namespace LocalLlm.Models;

/// <summary>
/// <c>quantization_config</c> of a checkpoint in 8-bit floats. The layers' matrices are e4m3 with a scale for every block, as DeepSeek-V3,
/// R1 and V3.1 are published (DeepSeek-AI, 2024, section 3.3), or for every output, or for the whole matrix. The engine does not quantise
/// activations, whatever scheme the checkpoint was made for.
/// </summary>
/// <param name="BlockRows">Outputs that share a scale; <see cref="Fp8Grid.Whole"/>: all of them.</param>
/// <param name="BlockColumns">Inputs that share a scale; <see cref="Fp8Grid.Whole"/>: all of them.</param>
/// <param name="Kept">
/// Modules that are not quantised: a full name or a sequence of its parts, such as <c>lm_head</c> or
/// <c>model.layers.3.mlp</c>.
/// </param>
internal sealed record QuantizationConfig(int BlockRows, int BlockColumns, IReadOnlyList<string> Kept)
{
    /// <summary>Suffix that turns a matrix's name into that of its scales.</summary>
    public string ScaleSuffix { get; init; } = "_scale_inv";

    /// <summary>What one scale is for, for messages.</summary>
    public string ScaleOf => (BlockRows, BlockColumns) switch
    {
        (Fp8Grid.Whole, _) => "each matrix",
        (1, Fp8Grid.Whole) => "each output",
        _ => $"each block of {BlockRows} x {BlockColumns}",
    };

    /// <summary>Creates the method that loads the layers' matrices and multiplies by them.</summary>
    public ILinearMethod CreateLinearMethod() => new Fp8LinearMethod(BlockRows, BlockColumns, ScaleSuffix, Keeps);

    /// <summary>Whether a module is stored unquantised: one of <see cref="Kept"/>, or a router's gate, which is never quantised.</summary>
    /// <param name="module">Its name, without <c>.weight</c>.</param>
    public bool Keeps(string module) => module.EndsWith(".mlp.gate", StringComparison.Ordinal) || Kept.Any(kept => Names(kept, module));

    /// <summary>Whether an entry of <see cref="Kept"/> names a module.</summary>
    public static bool Names(string kept, string module) => $".{module}.".Contains($".{kept}.", StringComparison.Ordinal);
}
