using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>Tensors that are joined along dimension 0 and given to one layer.</summary>
/// <param name="Specs">The slices, in the order in which they are joined; all of one <see cref="WeightType"/>.</param>
/// <param name="Accept">Receives the joined tensor in its loaded type; the loader disposes the tensor afterwards.</param>
/// <param name="Release">Disposes what was created from it.</param>
internal sealed record WeightGroup(IReadOnlyList<WeightSpec> Specs, Action<Tensor, WeightPacking> Accept, Action Release)
{
    /// <summary>How all of them are stored and loaded.</summary>
    public WeightType Type => Specs[0].Type;

    /// <summary>The same key means that groups are loaded as the same tensor.</summary>
    public string Key => string.Join('|', Specs.Select(spec => spec.Key));

    /// <summary>Whether the layer keeps the tensor itself, so that groups with one key share its memory.</summary>
    public bool KeepsLoaded { get; init; }

    /// <summary>Whether the layer never keeps a second copy (<see cref="WeightPacking.DecodeCopies"/>).</summary>
    public bool IsOneCopy { get; init; }

    /// <summary>The type that the layer keeps, if it differs from the loaded one; used to count bytes.</summary>
    public WeightType? KeptAs { get; init; }

    /// <summary>
    /// Checks the values of the joined tensor and returns what is wrong, in one sentence, or null. The property itself is null if values
    /// are not checked. One error lists the faults of all scales, before any other weight is read.
    /// </summary>
    public Func<Tensor, string?>? FaultOf { get; init; }
}

/// <summary>
/// The weights that a model needs from its checkpoint; it owns everything created from them. Layers register here when they are built.
/// Nothing is read until the whole list has been checked, so that one error lists every missing, unexpected and mis-shaped tensor. Released
/// weights can be loaded again (<see cref="WeightLoader.Load"/>).
/// </summary>
internal sealed class WeightRegistry : IDisposable
{
    private readonly List<WeightGroup> _groups = [];
    private readonly List<Func<string, bool>> _ignored = [];

    /// <summary>All registered groups, in the order of registration.</summary>
    public IReadOnlyList<WeightGroup> Groups => _groups;

    /// <summary>Registers tensors that are joined along dimension 0.</summary>
    /// <param name="specs">The tensors, all of one type.</param>
    /// <param name="pack">Converts the joined tensor to what the layer keeps; the loader disposes the tensor afterwards.</param>
    /// <param name="keepsLoaded">Whether the layer keeps the tensor itself and not a copy.</param>
    /// <exception cref="ArgumentException">The tensors are of several types.</exception>
    /// <param name="keptAs">The type that the layer keeps, if it differs from the specs' own.</param>
    /// <param name="faultOf">Checks the values; null: values are not checked.</param>
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

    /// <summary>Adds names that a checkpoint may hold although the model does not read them.</summary>
    public void Ignore(Func<string, bool> names) => _ignored.Add(names);

    /// <summary>Whether the model ignores this name.</summary>
    public bool IsIgnored(string name) => _ignored.Exists(ignored => ignored(name));

    /// <summary>Total bytes of the registered weights once loaded. A tensor that several layers keep unchanged counts once.</summary>
    /// <param name="activationType">The type that <see cref="WeightType.Activation"/> is converted to.</param>
    /// <param name="packing">Which copies of unquantised weights are kept; all others have one copy.</param>
    /// <param name="prefix">Counts only names with this prefix; null: all.</param>
    public long Bytes(ScalarType activationType, WeightPacking packing = WeightPacking.Compact, string? prefix = null) =>
        _groups.Where(group => prefix is null || group.Specs[0].Name.StartsWith(prefix, StringComparison.Ordinal)).DistinctBy(group => group.KeepsLoaded ? group.Key : (object)group).Sum(group => BytesOf(group, activationType, packing));

    /// <summary>Disposes every weight. The layers stay, and can be loaded again.</summary>
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
