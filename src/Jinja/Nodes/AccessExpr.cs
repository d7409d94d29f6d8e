using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Nodes;

/// <summary><c>value.name</c>: the attribute first, then the item.</summary>
internal sealed class AttributeExpr(Expr target, string name) : Expr
{
    public Expr Target { get; } = target;

    public string Name { get; } = name;

    public override IEnumerable<Node> Children => [Target];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        return Access.Attribute(c, Target.Evaluate(c), Name);
    }
}

/// <summary><c>value[key]</c>: the item first, then the attribute.</summary>
internal sealed class ItemExpr(Expr target, Expr key) : Expr
{
    public Expr Target { get; } = target;

    public Expr Key { get; } = key;

    public override IEnumerable<Node> Children => [Target, Key];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        var value = Target.Evaluate(c);
        if (Key is not SliceExpr slice)
            return Access.Item(c, value, Key.Evaluate(c));
        var (start, stop, step) = slice.Bounds(c);
        return Slicing.Apply(c, value, start, stop, step);
    }
}

/// <summary><c>start:stop:step</c>; must be the whole subscript.</summary>
internal sealed class SliceExpr(Expr? start, Expr? stop, Expr? step) : Expr
{
    public override IEnumerable<Node> Children => new[] { start, stop, step }.OfType<Node>();

    public (object? Start, object? Stop, object? Step) Bounds(RenderContext c) =>
        (start?.Evaluate(c), stop?.Evaluate(c), step?.Evaluate(c));

    public override object? Evaluate(RenderContext c) => throw TemplateException.Type("a slice is no value");
}
