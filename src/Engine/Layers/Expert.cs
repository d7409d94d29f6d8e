using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>down(silu(gate(x)) · up(x)) for this rank's part of the width; not summed over the ranks.</summary>
internal sealed class Expert
{
    private readonly LayerContext _context;
    private readonly ILinear _gateUp;
    private readonly ILinear _down;

    /// <summary>Registers <c>prefix.{gate,up,down}_proj</c>.</summary>
    /// <param name="context">What layers are built with.</param>
    /// <param name="prefix">Name in the checkpoint.</param>
    /// <param name="hiddenSize">Width of the residual stream.</param>
    /// <param name="width">Width of the expert.</param>
    /// <param name="part">The part of the width on this rank.</param>
    public Expert(LayerContext context, string prefix, int hiddenSize, int width, ShardRange part)
    {
        _context = context;
        _gateUp = context.LinearMethod.Create(context, [Inner("gate_proj"), Inner("up_proj")], [], LinearRole.GateUp);
        _down = context.LinearMethod.Create(
            context, [new($"{prefix}.down_proj.weight", [hiddenSize, width], 1, part.Start, part.Length)], [], LinearRole.Other);

        WeightSpec Inner(string name) => new($"{prefix}.{name}.weight", [width, hiddenSize], 0, part.Start, part.Length);
    }

    private Expert(LayerContext context, ILinear gateUp, ILinear down) => (_context, _gateUp, _down) = (context, gateUp, down);

    /// <summary>The loaded matrices; null: the linear method keeps matrices of its own.</summary>
    public ExpertMatrices? Matrices => (_gateUp.Weight, _down.Weight) is ({ } gateUp, { } down) ? new(gateUp, down) : null;

    /// <inheritdoc cref="ILinear.MaxRecordedRows"/>
    public int MaxRecordedRows => Math.Min(_gateUp.MaxRecordedRows, _down.MaxRecordedRows);

    /// <summary>Copies the loaded weights for <see cref="Take"/> on another rank.</summary>
    /// <param name="device">The other rank's device.</param>
    public Expert Copy(Device device) => new(_context, _gateUp.Copy(device), _down.Copy(device));

    /// <summary>Replaces this expert by the one in a copy; the copy is used up.</summary>
    public void Take(Expert copy)
    {
        _gateUp.Take(copy._gateUp);
        _down.Take(copy._down);
    }

    /// <summary>[tokens, hidden] → [tokens, hidden].</summary>
    public Tensor Forward(Tensor x) => _down.Forward(_context.Ops.SiluAndMul(_gateUp.Forward(x)));
}
