using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>
/// How a tensor may be stored in a checkpoint and what it is loaded as: floating types are converted to the one that is computed with, any
/// other is taken exactly as it is stored. A model may have tensors of several.
/// </summary>
internal sealed record WeightType
{
    private readonly SafetensorsDtype? _stored;
    private readonly ScalarType? _loaded;

    private WeightType(SafetensorsDtype? stored, ScalarType? loaded) => (_stored, _loaded) = (stored, loaded);

    /// <summary>Stored as F32, F16 or BF16; loaded in the activation type.</summary>
    public static WeightType Activation { get; } = new(null, null);

    /// <summary>Stored as F32, F16 or BF16; loaded as <paramref name="type"/>, whatever the activation type is.</summary>
    public static WeightType Converted(ScalarType type) => new(null, type);

    /// <summary>
    /// Stored exactly so, and loaded without a conversion; 8-bit floats, which TorchSharp does not name, as their bytes.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">No tensor can hold such elements.</exception>
    public static WeightType AsStored(SafetensorsDtype stored) =>
        new(stored, ScalarTypeOf(stored) ?? throw new ArgumentOutOfRangeException(nameof(stored), stored,
            "No tensor holds such elements."));

    /// <summary>The types that a file may hold, for messages.</summary>
    public string Wanted => _stored?.Name() ?? "F32, F16 or BF16";

    /// <summary>Whether a file may hold the tensor so.</summary>
    public bool Takes(SafetensorsDtype stored) =>
        _stored is { } one ? stored == one : stored is SafetensorsDtype.F32 or SafetensorsDtype.F16 or SafetensorsDtype.BF16;

    /// <summary>What the tensor is loaded as.</summary>
    public ScalarType LoadedAs(ScalarType activationType) => _loaded ?? activationType;

    /// <summary>The elements of a tensor that holds such a type as it is stored; null: there is none.</summary>
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

    /// <summary>Bytes of one element that was loaded.</summary>
    public long ElementBytes(ScalarType activationType) => LoadedAs(activationType) switch
    {
        ScalarType.Float32 or ScalarType.Int32 => 4,
        ScalarType.BFloat16 or ScalarType.Float16 => 2,
        _ => 1,
    };
}
