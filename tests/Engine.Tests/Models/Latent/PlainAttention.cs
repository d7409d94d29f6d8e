using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>Causal attention for every sequence of a step, however its keys and values are computed.</summary>
internal static class PlainAttention
{
    /// <param name="queries">[tokens, heads · key].</param>
    /// <param name="config">Heads and widths.</param>
    /// <param name="metadata">The step.</param>
    /// <param name="context">Keys [context, heads · key] and values [context, heads · value] of a sequence.</param>
    /// <returns>[tokens, heads · value].</returns>
    public static Tensor Forward(
        Tensor queries, LatentConfig config, AttentionMetadata metadata, Func<SequenceSpan, (Tensor Keys, Tensor Values)> context)
    {
        var output = empty([queries.size(0), config.Heads * config.ValueWidth], queries.dtype, queries.device);
        foreach (var sequence in metadata.Sequences.Span)
        {
            using var scope = NewDisposeScope();
            var (keys, values) = context(sequence);
            var q = Heads(queries.narrow(0, sequence.FirstToken, sequence.TokenCount), config.KeyWidth);
            var scores = matmul(q, Heads(keys, config.KeyWidth).transpose(1, 2)) / Math.Sqrt(config.KeyWidth); // [heads, queries, context]
            var weights = scores.masked_fill(PagedRows.HiddenPositions(sequence, null, queries.device),
                float.NegativeInfinity).softmax(-1);
            var mixed = matmul(weights, Heads(values, config.ValueWidth)).transpose(0, 1).reshape(sequence.TokenCount, -1);
            output.narrow(0, sequence.FirstToken, sequence.TokenCount).copy_(mixed);
        }

        return output;

        // [rows, heads · width] → [heads, rows, width]
        Tensor Heads(Tensor rows, int width) => rows.reshape(-1, config.Heads, width).transpose(0, 1).to(float32);
    }
}
