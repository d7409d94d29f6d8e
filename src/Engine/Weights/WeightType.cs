using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>
/// How a checkpoint may store a tensor, and the type that it is loaded as. Floating types are converted to the type of the computation; any
/// other type is kept as stored. A model may have tensors of several.
/// </summary>
internal sealed record WeightType
{
    private readonly SafetensorsDtype? _stored;
    private readonly ScalarType? _loaded;
    private readonly bool _takesExponents;

    private WeightType(SafetensorsDtype? stored, ScalarType? loaded, bool takesExponents = false) =>
        (_stored, _loaded, _takesExponents) = (stored, loaded, takesExponents);

    /// <summary>Stored as F32, F16 or BF16; loaded in the activation type.</summary>
    public static WeightType Activation { get; } = new(null, null);

    /// <summary>Stored as F32, F16 or BF16; loaded as <paramref name="type"/>, whatever the activation type is.</summary>
    public static WeightType Converted(ScalarType type) => new(null, type);

    /// <summary>Scales of quantised weights: stored as F32, F16, BF16 or F8_E8M0 (exponents only), loaded as float32.</summary>
    public static WeightType Scale { get; } = new(null, ScalarType.Float32, takesExponents: true);

    /// <summary>
    /// Stored in exactly this type and loaded without conversion; 8-bit floats, which TorchSharp has no names for, as their bytes.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">No tensor can hold such elements.</exception>
    public static WeightType AsStored(SafetensorsDtype stored) =>
        new(stored, ScalarTypeOf(stored) ?? throw new ArgumentOutOfRangeException(nameof(stored), stored,
            "No tensor holds such elements."));

    /// <summary>The types that a file may hold, for messages.</summary>
    public string Wanted => _stored?.Name() ?? (_takesExponents ? "F32, F16, BF16 or F8_E8M0" : "F32, F16 or BF16");

    /// <summary>Whether a file may store the tensor in this type.</summary>
    public bool Takes(SafetensorsDtype stored) =>
        _stored is { } one ? stored == one
            : stored is SafetensorsDtype.F32 or SafetensorsDtype.F16 or SafetensorsDtype.BF16 || (_takesExponents && stored == SafetensorsDtype.F8E8M0);

    /// <summary>The type that the tensor is loaded as.</summary>
    public ScalarType LoadedAs(ScalarType activationType) => _loaded ?? activationType;

    /// <summary>Converts a tensor from its stored type to its loaded type.</summary>
    /// <param name="tensor">A tensor of the type that <see cref="ScalarTypeOf"/> returns.</param>
    /// <param name="stored">The stored type; a file may store the tensor in it.</param>
    /// <param name="activationType">The type that <see cref="Activation"/> is converted to.</param>
    public Tensor Convert(Tensor tensor, SafetensorsDtype stored, ScalarType activationType) =>
        (_takesExponents && stored == SafetensorsDtype.F8E8M0 ? PowersOfTwo(tensor) : tensor).to(LoadedAs(activationType));

    /// <summary>The element type of a tensor that holds a stored type unchanged; null: there is none.</summary>
    public static ScalarType? ScalarTypeOf(SafetensorsDtype stored) => stored switch
    {
        SafetensorsDtype.F32 => ScalarType.Float32,
        SafetensorsDtype.F16 => ScalarType.Float16,
        SafetensorsDtype.BF16 => ScalarType.BFloat16,
        SafetensorsDtype.I8 => ScalarType.Int8,
        SafetensorsDtype.U8 or SafetensorsDtype.F8E4M3 or SafetensorsDtype.F8E5M2 or SafetensorsDtype.F8E8M0 => ScalarType.Byte,
        SafetensorsDtype.I32 => ScalarType.Int32,
        _ => null,
    };

    /// <summary>Bytes of one loaded element.</summary>
    public long ElementBytes(ScalarType activationType) => LoadedAs(activationType) switch
    {
        ScalarType.Float32 or ScalarType.Int32 => 4,
        ScalarType.BFloat16 or ScalarType.Float16 => 2,
        _ => 1,
    };

    /// <summary>Distinguishes all types; slices' keys contain it.</summary>
    public override string ToString() => $"{Wanted} as {_loaded?.ToString() ?? "activations"}";

    // An exponent with a bias of 127; 255 is NaN (Open Compute Project, Microscaling Formats, 1.0).
    private static Tensor PowersOfTwo(Tensor exponents) =>
        exponents.to(ScalarType.Float64).Minus(127).exp2().MaskedFill(exponents.IsEqual(255), double.NaN);
}
