using static LocalLlm.Tests.Models.Latent.LatentFolder;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>The latent family's model written down plainly: whole sequences, no cache, no layers, float32.</summary>
internal static class LatentReference
{
    /// <summary>Logits of the last position.</summary>
    public static float[] LastLogits(IReadOnlyDictionary<string, Tensor> weights, int[] ids)
    {
        using var scope = NewDisposeScope();
        var x = weights["embed.weight"].index_select(0, tensor(ids)) + weights["positions.weight"].narrow(0, 0, ids.Length);
        for (var layer = 0; layer < LayerCount; layer++)
        {
            var prefix = $"layers.{layer}";
            var h = Norm(x, $"{prefix}.attention_norm");
            var latent = layer == 0 ? h : Times(h, $"{prefix}.latent");
            var (keys, values) = layer == 0
                ? (Times(h, $"{prefix}.k"), Times(h, $"{prefix}.v"))
                : (Times(latent, $"{prefix}.up_k"), Times(latent, $"{prefix}.up_v"));
            x += Times(Attend(Times(h, $"{prefix}.q"), keys, values), $"{prefix}.o");
            h = Norm(x, $"{prefix}.mlp_norm");
            var up = Times(h, $"{prefix}.mlp.up_proj");
            var inner = layer == 0 ? nn.functional.silu(Times(h, $"{prefix}.mlp.gate_proj")) * up : nn.functional.relu(up).square();
            x += Times(inner, $"{prefix}.mlp.down_proj");
        }

        return Times(Norm(x, "norm"), "head")[ids.Length - 1].data<float>().ToArray();

        Tensor Times(Tensor rows, string name) => rows.matmul(weights[$"{name}.weight"].t());

        Tensor Norm(Tensor rows, string name) =>
            rows * (rows.square().mean([-1], keepdim: true) + 1e-6).rsqrt() * weights[$"{name}.weight"];
    }

    /// <summary>The greedy continuation, and the smallest margin by which the likeliest logit exceeded the next one.</summary>
    public static (int[] Ids, float Margin) Greedy(IReadOnlyDictionary<string, Tensor> weights, int[] ids, int count)
    {
        List<int> all = [.. ids];
        var margin = float.MaxValue;
        for (var i = 0; i < count; i++)
        {
            var logits = LastLogits(weights, [.. all]);
            all.Add(Array.IndexOf(logits, logits.Max()));
            var order = logits.OrderDescending().ToArray();
            margin = Math.Min(margin, order[0] - order[1]);
        }

        return ([.. all.Skip(ids.Length)], margin);
    }

    private static Tensor Attend(Tensor queries, Tensor keys, Tensor values)
    {
        var length = queries.size(0);
        var (q, k, v) = (Split(queries, KeyWidth), Split(keys, KeyWidth), Split(values, ValueWidth)); // [heads, length, width]
        var scores = matmul(q, k.transpose(1, 2)) / Math.Sqrt(KeyWidth);
        var future = ones(length, length, ScalarType.Bool).triu(1);
        return matmul(scores.masked_fill(future, float.NegativeInfinity).softmax(-1), v).transpose(0, 1).reshape(length,
            Heads * ValueWidth);
    }

    private static Tensor Split(Tensor rows, int width) => rows.view(-1, Heads, width).transpose(0, 1);
}
