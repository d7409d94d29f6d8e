using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Runtime;

/// <summary>The variables of one running function: the template itself, a macro, a recursive loop or a block.</summary>
internal sealed class Activation
{
    private readonly object?[] _slots;
    private readonly Activation? _parent;

    public Activation(Function function, Activation? parent)
    {
        _slots = new object?[function.SlotCount];
        Array.Fill(_slots, Missing.Value);
        _parent = parent;
    }

    public object? Get(Variable variable) => Owner(variable)._slots[variable.Slot];

    public void Set(Variable variable, object? value) => Owner(variable)._slots[variable.Slot] = value;

    private Activation Owner(Variable variable)
    {
        var frame = this;
        for (var i = variable.Hops; i > 0; i--)
            frame = frame._parent!;
        return frame;
    }
}
