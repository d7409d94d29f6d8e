using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

internal enum NameUse
{
    Load,
    Store,
    Parameter,
}

/// <summary>A variable, read or assigned.</summary>
internal sealed class NameExpr(string name) : Expr
{
    public string Name { get; } = name;

    public NameUse Use { get; set; }

    /// <summary>Set when scopes are bound.</summary>
    public Variable Variable { get; set; }

    /// <summary>Whether the template's blocks see the assignment too.</summary>
    public bool IsExported { get; set; }

    public override IEnumerable<Node> Children => [];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        var value = c.Frame.Get(Variable);
        return value == Missing.Value ? Undefined.Variable(Name) : value;
    }
}
