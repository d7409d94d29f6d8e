using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>Tensors that are joined along dimension 0 and handed to one layer.</summary>
/// <param name="Parts">The slices, in the order in which they are joined.</param>
/// <param name="Accept">Takes the joined tensor in the activation type; the loader disposes it afterwards.</param>
internal sealed record WeightGroup(IReadOnlyList<WeightPart> Parts, Action<Tensor> Accept);

/// <summary>
/// What a model needs of its checkpoint. Layers register here when they are built; nothing is read until the whole list
/// has been checked, so that every missing, unexpected and mis-shaped tensor is told in one error.
/// </summary>
internal sealed class WeightRegistry
{
    private readonly List<WeightGroup> _groups = [];
    private readonly List<Func<string, bool>> _ignored = [];

    /// <summary>Everything registered so far, in the order of registration.</summary>
    public IReadOnlyList<WeightGroup> Groups => _groups;

    /// <summary>Registers parts that are joined along dimension 0.</summary>
    public void Add(IReadOnlyList<WeightPart> parts, Action<Tensor> accept) => _groups.Add(new(parts, accept));

    /// <summary>Registers a whole tensor.</summary>
    public void Add(WeightPart part, Action<Tensor> accept) => _groups.Add(new([part], accept));

    /// <summary>Names that a checkpoint may hold although the model does not read them.</summary>
    public void Ignore(Func<string, bool> names) => _ignored.Add(names);

    /// <summary>Whether the model takes no notice of this name.</summary>
    public bool IsIgnored(string name) => _ignored.Exists(ignored => ignored(name));
}
