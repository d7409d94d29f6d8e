using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>down(silu(gate(x)) · up(x)); gate and up are one product.</summary>
internal sealed class GatedMlp : IFeedForward
{
    private readonly ColumnParallelLinear _gateUp;
    private readonly RowParallelLinear _down;

    /// <summary>Registers <c>prefix.{gate,up,down}_proj</c>.</summary>
    public GatedMlp(LayerContext context, string prefix, int hiddenSize, int intermediateSize, bool bias)
    {
        _gateUp = new(context, [$"{prefix}.gate_proj", $"{prefix}.up_proj"], hiddenSize, intermediateSize, bias);
        _down = new(context, $"{prefix}.down_proj", intermediateSize, hiddenSize, bias);
    }

    /// <inheritdoc/>
    public int MaxRecordedRows => Math.Min(_gateUp.MaxRecordedRows, _down.MaxRecordedRows);

    /// <inheritdoc/>
    public void AddTo(Tensor residual, RmsNorm norm, ForwardContext context) => _down.AddTo(residual, _gateUp.ForwardGated(residual, norm));
}
