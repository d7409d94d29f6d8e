using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Nodes;

internal sealed class ConstExpr(object? value) : Expr
{
    public object? Value { get; } = value;

    public override IEnumerable<Node> Children => [];

    public override object? Evaluate(RenderContext c) => Value;
}
