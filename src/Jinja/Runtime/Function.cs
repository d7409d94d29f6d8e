namespace LocalLlm.Jinja.Runtime;

/// <summary>The layout of the variables of a template part that runs in its own <see cref="Activation"/>.</summary>
internal sealed class Function(Function? parent)
{
    private readonly Dictionary<(int Level, string Name), int> _slots = [];

    public int Depth { get; } = parent is null ? 0 : parent.Depth + 1;

    public int SlotCount => _slots.Count;

    /// <summary>The slot of a name at one scope level; successive scopes of one level share slots.</summary>
    public int Slot(int level, string name)
    {
        if (!_slots.TryGetValue((level, name), out var slot))
            _slots.Add((level, name), slot = _slots.Count);
        return slot;
    }
}
