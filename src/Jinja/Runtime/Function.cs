namespace LocalLlm.Jinja.Runtime;

/// <summary>The layout of the variables of a piece of template that runs in an <see cref="Activation"/> of its own.</summary>
internal sealed class Function(Function? parent)
{
    private readonly Dictionary<(int Level, string Name), int> _slots = [];

    public int Depth { get; } = parent is null ? 0 : parent.Depth + 1;

    public int SlotCount => _slots.Count;

    /// <summary>The slot of a name at one scope level; scopes of one level that follow each other share slots.</summary>
    public int Slot(int level, string name)
    {
        if (!_slots.TryGetValue((level, name), out var slot))
            _slots.Add((level, name), slot = _slots.Count);
        return slot;
    }
}
