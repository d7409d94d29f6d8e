using System.Text.RegularExpressions;
using LocalLlm.Models;
using LocalLlm.Weights;

namespace LocalLlm.Planning;

/// <summary>What the headers of a model's files say of its size.</summary>
/// <param name="Elements">Elements of all tensors that the decoder has: without scales of quantised blocks, tables of positions, further
/// layers for speculation, and a copy of the embedding for a head that is tied to it.</param>
/// <param name="Dtype">The type that most of them have; null: another than a model is computed in.</param>
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
