using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>Tensors that are joined along dimension 0 and handed to one layer.</summary>
/// <param name="Specs">The slices, in the order in which they are joined; all of one <see cref="WeightType"/>.</param>
/// <param name="Accept">Takes the joined tensor as its type says; the loader disposes it afterwards.</param>
/// <param name="Release">Disposes what was made of it.</param>
internal sealed record WeightGroup(IReadOnlyList<WeightSpec> Specs, Action<Tensor, WeightPacking> Accept, Action Release)
{
    /// <summary>How all of them are stored and loaded.</summary>
    public WeightType Type => Specs[0].Type;

    /// <summary>The same for groups that are loaded as the same tensor.</summary>
    public string Key => string.Join('|', Specs.Select(spec => spec.Key));

    /// <summary>Whether what is made of the tensor is the tensor itself, so that groups of one key share its memory.</summary>
    public bool KeepsLoaded { get; init; }

    /// <summary>Whether a second copy is never made of it (<see cref="WeightPacking.DecodeCopies"/>).</summary>
    public bool IsOneCopy { get; init; }

    /// <summary>The type of what is made of it, where that is another than it is loaded as: for the sum of bytes.</summary>
    public WeightType? KeptAs { get; init; }

    /// <summary>
    /// What is wrong with the values of the joined tensor, one sentence; null: nothing, or nothing is looked for. One error lists the
    /// faults of all scales, before any other weight is read.
    /// </summary>
    public Func<Tensor, string?>? FaultOf { get; init; }
}

/// <summary>
/// What a model needs of its checkpoint, and the one owner of what was made of it. Layers register here when they are built; nothing is
/// read until the whole list has been checked, so that every missing, unexpected and mis-shaped tensor stands in one error. What is
/// released can be loaded again (<see cref="WeightLoader.Load"/>).
/// </summary>
internal sealed class WeightRegistry : IDisposable
{
    private readonly List<WeightGroup> _groups = [];
    private readonly List<Func<string, bool>> _ignored = [];

    /// <summary>Everything registered so far, in the order of registration.</summary>
    public IReadOnlyList<WeightGroup> Groups => _groups;

    /// <summary>Registers tensors that are joined along dimension 0.</summary>
    /// <param name="specs">Which, all of one type.</param>
    /// <param name="pack">What the layer keeps of the joined tensor, which the loader disposes afterwards.</param>
    /// <param name="keepsLoaded">Whether it keeps the tensor itself, and no copy of it.</param>
    /// <exception cref="ArgumentException">They are of several types.</exception>
    /// <param name="keptAs">The type of what the layer keeps, where it is another than the specs' own.</param>
    /// <param name="faultOf">What is wrong with the values; null: nothing is looked for.</param>
    /// <param name="isOneCopy">Whether the layer keeps one copy, whatever the packing.</param>
    public LoadedWeight<T> Add<T>(
        IReadOnlyList<WeightSpec> specs, Func<Tensor, WeightPacking, T> pack, bool keepsLoaded = false, WeightType? keptAs = null,
        Func<Tensor, string?>? faultOf = null, bool isOneCopy = false)
        where T : class, IDisposable
    {
        if (specs.Any(spec => spec.Type != specs[0].Type))
            throw new ArgumentException($"{specs[0].Name} is joined with tensors of another type.", nameof(specs));
        var weight = new LoadedWeight<T>(specs[0].Name);
        _groups.Add(new(specs, (tensor, packing) => weight.Set(pack(tensor, packing)), weight.Release)
        {
            KeepsLoaded = keepsLoaded, KeptAs = keptAs, FaultOf = faultOf, IsOneCopy = isOneCopy,
        });
        return weight;
    }

    /// <summary>Registers one tensor.</summary>
    public LoadedWeight<T> Add<T>(WeightSpec spec, Func<Tensor, T> pack, bool keepsLoaded = false)
        where T : class, IDisposable => Add([spec], (tensor, _) => pack(tensor), keepsLoaded);

    /// <summary>Names that a checkpoint may hold although the model does not read them.</summary>
    public void Ignore(Func<string, bool> names) => _ignored.Add(names);

    /// <summary>Whether the model ignores this name.</summary>
    public bool IsIgnored(string name) => _ignored.Exists(ignored => ignored(name));

    /// <summary>Bytes of all that is registered, once loaded: a tensor that several layers keep as it is counts once.</summary>
    /// <param name="activationType">What <see cref="WeightType.Activation"/> is converted to.</param>
    /// <param name="packing">Which copies are kept of what is stored unquantised; of anything else there is one.</param>
    /// <param name="prefix">What the names begin with of what counts; null: all counts.</param>
    public long Bytes(ScalarType activationType, WeightPacking packing = WeightPacking.Compact, string? prefix = null) =>
        _groups.Where(group => prefix is null || group.Specs[0].Name.StartsWith(prefix, StringComparison.Ordinal)).DistinctBy(group => group.KeepsLoaded ? group.Key : (object)group).Sum(group => BytesOf(group, activationType, packing));

    /// <summary>Disposes every weight; the layers stay, and can be filled again.</summary>
    public void Release()
    {
        foreach (var group in _groups)
            group.Release();
    }

    /// <inheritdoc/>
    public void Dispose() => Release();

    private static long BytesOf(WeightGroup group, ScalarType activationType, WeightPacking packing)
    {
        var type = group.KeptAs ?? group.Type;
        var copies = packing == WeightPacking.DecodeCopies && type == WeightType.Activation && !group.IsOneCopy ? 2 : 1;
        return copies * group.Specs.Sum(spec => spec.SliceElements) * type.ElementBytes(activationType);
    }
}
