using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>
/// Attention that caches one latent vector per token. Keys and values of all heads are computed from it when they are read (as in
/// DeepSeek-V2, 2024).
/// </summary>
internal sealed class LatentAttention(LayerContext context, string prefix, int layer, LatentConfig config) : IAttention
{
    private readonly (int Keys, int Values) _width = (config.Heads * config.KeyWidth, config.Heads * config.ValueWidth);

    private readonly ILinear _down = context.LinearMethod.Create(
        context,
        [
            WeightSpec.Whole($"{prefix}.q.weight", config.Heads * config.KeyWidth, config.HiddenSize),
            WeightSpec.Whole($"{prefix}.latent.weight", config.LatentWidth, config.HiddenSize),
        ],
        [],
        LinearRole.Qkv);

    private readonly ILinear _up = context.LinearMethod.Create(
        context,
        [
            WeightSpec.Whole($"{prefix}.up_k.weight", config.Heads * config.KeyWidth, config.LatentWidth),
            WeightSpec.Whole($"{prefix}.up_v.weight", config.Heads * config.ValueWidth, config.LatentWidth),
        ],
        [],
        LinearRole.GateUp);

    private readonly RowParallelLinear _output = new(context, $"{prefix}.o", config.Heads * config.ValueWidth, config.HiddenSize,
        bias: false);

    public KvLayerSpec Cache => KvLayerSpec.Rows(config.LatentWidth);

    public void AddTo(Tensor residual, RmsNorm norm, ForwardContext forward)
    {
        var projected = _down.ForwardNormed(residual, norm); // [tokens, heads · key + latent]
        var cache = forward.Caches[layer];
        PagedRows.Store(cache, 0, projected.narrow(1, _width.Keys, config.LatentWidth), forward.Metadata);
        _output.AddTo(residual, PlainAttention.Forward(projected.narrow(1, 0, _width.Keys), config, forward.Metadata, KeysAndValues));

        (Tensor Keys, Tensor Values) KeysAndValues(SequenceSpan sequence)
        {
            var both = _up.Forward(PagedRows.Gather(cache, 0, sequence, forward.Metadata)); // [context, heads · key + heads · value]
            return (both.narrow(1, 0, _width.Keys), both.narrow(1, _width.Keys, _width.Values));
        }
    }
}
