using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Runtime;

/// <summary>What happens to variables when a scope begins and ends.</summary>
internal sealed class Scope(Scope.Load[] loads)
{
    public static readonly Scope Empty = new([]);

    /// <summary>
    /// The initial value of one variable of a scope: looked up by name in the context, or copied from a variable further out.
    /// With neither it has no value. The code that enters the scope sets a parameter.
    /// </summary>
    internal readonly record struct Load(Variable Target, string? Name, Variable? Source, bool IsParameter);

    public void Enter(RenderContext c, PyDict? outer = null)
    {
        foreach (var load in loads)
        {
            if (load.IsParameter)
                continue;
            object? value = Missing.Value;
            if (load.Source is { } source)
                value = c.Frame.Get(source);
            else if (load.Name is { } name && (outer is null || !outer.TryGet(name, out value)))
                value = c.Resolve(name);
            c.Frame.Set(load.Target, value);
        }
    }

    public void Leave(RenderContext c)
    {
        foreach (var load in loads)
            c.Frame.Set(load.Target, Missing.Value);
    }
}
