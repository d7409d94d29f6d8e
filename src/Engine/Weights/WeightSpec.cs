using System.Globalization;

namespace LocalLlm.Weights;

/// <summary>One tensor of the checkpoint, or the slice of it that this rank holds.</summary>
/// <param name="Name">Name in the checkpoint.</param>
/// <param name="Shape">Its full shape there: [out, in] or [size].</param>
/// <param name="Dimension">The dimension that is sliced.</param>
/// <param name="Start">First index of the slice.</param>
/// <param name="Length">Length of the slice.</param>
internal sealed record WeightSpec(string Name, long[] Shape, int Dimension, long Start, long Length)
{
    /// <summary>How the tensor is stored, and the type that it is loaded as.</summary>
    public WeightType Type { get; init; } = WeightType.Activation;

    /// <summary>The same key means that slices hold the same elements and are loaded in the same way.</summary>
    public string Key => string.Create(CultureInfo.InvariantCulture, $"{Name}:{Dimension}:{Start}:{Length}:{Type}");

    /// <summary>The whole tensor.</summary>
    public static WeightSpec Whole(string name, params long[] shape) => new(name, shape, 0, 0, shape[0]);

    /// <summary>Shape of the slice.</summary>
    public long[] SliceShape => Dimension == 0 ? [Length, .. Shape[1..]] : [Shape[0], Length];

    /// <summary>Elements of the slice.</summary>
    public long SliceElements => SliceShape.Aggregate(1L, (product, size) => product * size);
}
