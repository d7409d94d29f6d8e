using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>down(relu(up(x))²) (So et al., "Primer", 2021).</summary>
internal sealed class SquaredReluMlp(LayerContext context, string prefix, LatentConfig config) : IFeedForward
{
    private readonly ILinear _up = context.LinearMethod.Create(
        context, [WeightSpec.Whole($"{prefix}.mlp.up_proj.weight", config.IntermediateSize, config.HiddenSize)], [], LinearRole.GateUp);

    private readonly RowParallelLinear _down = new(context, $"{prefix}.mlp.down_proj", config.IntermediateSize, config.HiddenSize,
        bias: false);

    public void AddTo(Tensor residual, RmsNorm norm, ForwardContext context) =>
        _down.AddTo(residual, nn.functional.relu(_up.ForwardNormed(residual, norm)).square());
}
