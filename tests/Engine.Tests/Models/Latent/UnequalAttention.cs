using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>Attention whose values are narrower than its keys: two tensors of unequal width in the cache.</summary>
internal sealed class UnequalAttention(LayerContext context, string prefix, LatentConfig config) : IAttention
{
    private readonly (int Keys, int Values) _width = (config.Heads * config.KeyWidth, config.Heads * config.ValueWidth);

    private readonly ILinear _qkv = context.LinearMethod.Create(
        context,
        [
            WeightSpec.Whole($"{prefix}.q.weight", config.Heads * config.KeyWidth, config.HiddenSize),
            WeightSpec.Whole($"{prefix}.k.weight", config.Heads * config.KeyWidth, config.HiddenSize),
            WeightSpec.Whole($"{prefix}.v.weight", config.Heads * config.ValueWidth, config.HiddenSize),
        ],
        [],
        LinearRole.Qkv);

    private readonly RowParallelLinear _output = new(context, $"{prefix}.o", config.Heads * config.ValueWidth, config.HiddenSize,
        bias: false);

    public KvLayerSpec Cache => KvLayerSpec.Rows(_width.Keys, _width.Values);

    public void AddTo(Tensor residual, RmsNorm norm, ForwardContext forward)
    {
        var qkv = _qkv.ForwardNormed(residual, norm); // [tokens, 2 · heads · key + heads · value]
        var cache = forward.Caches[0];
        PagedRows.Store(cache, 0, qkv.narrow(1, _width.Keys, _width.Keys), forward.Metadata);
        PagedRows.Store(cache, 1, qkv.narrow(1, 2 * _width.Keys, _width.Values), forward.Metadata);
        var attended = PlainAttention.Forward(
            qkv.narrow(1, 0, _width.Keys),
            config,
            forward.Metadata,
            sequence => (PagedRows.Gather(cache, 0, sequence, forward.Metadata),
                PagedRows.Gather(cache, 1, sequence, forward.Metadata)));
        _output.AddTo(residual, attended);
    }
}
