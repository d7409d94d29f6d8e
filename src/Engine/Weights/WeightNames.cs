using System.Globalization;

namespace LocalLlm.Weights;

/// <summary>Numbers of layers and experts in the names of tensors.</summary>
internal static class WeightNames
{
    /// <summary>Prefix of the names of a decoder's layers.</summary>
    public const string Layers = "model.layers.";

    /// <summary>The number between <paramref name="prefix"/> and the next dot of a name; null: the name has none there.</summary>
    public static int? NumberAfter(string prefix, string name)
    {
        if (!name.StartsWith(prefix, StringComparison.Ordinal))
            return null;
        var rest = name.AsSpan(prefix.Length);
        var end = rest.IndexOf('.');
        return end > 0 && int.TryParse(rest[..end], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
    }
}
