using System.Text.RegularExpressions;
using LocalLlm.Models;
using LocalLlm.Weights;

namespace LocalLlm.Planning;

/// <summary>The size of a model according to the headers of its files.</summary>
/// <param name="Elements">Elements of all tensors of the decoder. Not counted: scales of quantised blocks, position tables, additional
/// layers for speculative decoding, and a copy of the embedding for a tied head.</param>
/// <param name="Dtype">The type of most elements; null: one that no model is computed in.</param>
internal sealed partial record HeaderSizes(long Elements, ModelDtype? Dtype)
{
    /// <summary>Adds up tensors.</summary>
    public static HeaderSizes Of(IEnumerable<TensorInfo> tensors, ModelShape shape)
    {
        var elements = 0L;
        var bytes = new Dictionary<SafetensorsDtype, long>();
        foreach (var tensor in tensors)
        {
            if (Counts(tensor.Name, shape))
                elements += tensor.Shape.Aggregate(1L, (product, size) => product * size);
            bytes[tensor.Dtype] = bytes.GetValueOrDefault(tensor.Dtype) + tensor.ByteLength;
        }

        return new(elements, bytes.Count == 0 ? null : bytes.MaxBy(entry => entry.Value).Key switch
        {
            SafetensorsDtype.F32 => ModelDtype.Float32,
            SafetensorsDtype.F16 => ModelDtype.Float16,
            SafetensorsDtype.BF16 => ModelDtype.BFloat16,
            _ => null,
        });
    }

    private static bool Counts(string name, ModelShape shape)
    {
        if (name.EndsWith(".weight_scale_inv", StringComparison.Ordinal) || name.EndsWith(".weight_scale", StringComparison.Ordinal) || name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal))
            return false;
        if (shape.IsTied && name == "lm_head.weight")
            return false;
        return LayerName().Match(name) is not { Success: true } layer || (int.TryParse(layer.Groups[1].ValueSpan, out var index) && index < shape.Layers);
    }

    [GeneratedRegex(@"(?:\A|\.)layers\.([0-9]+)\.")]
    private static partial Regex LayerName();
}
