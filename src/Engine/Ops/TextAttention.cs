using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>The plain version of attention within whole texts, on any device.</summary>
internal static class TextAttention
{
    /// <summary>Every token attends to all of its text. Adjacent texts of equal length are computed as one batch.</summary>
    /// <param name="qkv">[tokens, 3 · heads · head_dim].</param>
    /// <param name="texts">The rows of each text.</param>
    /// <param name="heads">Heads of queries, keys and values.</param>
    /// <returns>[tokens, heads · head_dim].</returns>
    public static Tensor Forward(Tensor qkv, TextSpans texts, int heads)
    {
        var hidden = qkv.shape[1] / 3;
        var result = empty([qkv.shape[0], hidden], qkv.dtype, qkv.device);
        for (var text = 0; text < texts.Lengths.Count;)
        {
            using var scope = NewDisposeScope();
            var length = texts.Lengths[text];
            var count = 1;
            while (text + count < texts.Lengths.Count && texts.Lengths[text + count] == length)
                count++;
            var (first, rows) = (texts.Starts[text], (long)count * length);
            // [texts, length, 3, heads, head_dim] → three of [texts, heads, length, head_dim]
            var split = qkv.narrow(0, first, rows).view(count, length, 3, heads, hidden / heads).permute(2, 0, 3, 1, 4);
            var attended = nn.functional.scaled_dot_product_attention(split[0], split[1], split[2]);
            result.narrow(0, first, rows).copy_(attended.transpose(1, 2).reshape(rows, hidden));
            text += count;
        }

        return result;
    }
}
