using LocalLlm.Templating.Runtime;

namespace LocalLlm.Templating.Nodes;

internal sealed class ConstExpr(object? value) : Expr
{
    public object? Value { get; } = value;

    public override IEnumerable<Node> Children => [];

    public override object? Evaluate(RenderContext c) => Value;
}
