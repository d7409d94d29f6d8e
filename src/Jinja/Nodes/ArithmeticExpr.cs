using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

internal sealed class BinaryExpr(string op, Expr left, Expr right) : Expr
{
    public override IEnumerable<Node> Children => [left, right];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        var x = left.Evaluate(c);
        return Operators.Apply(c, op, x, right.Evaluate(c));
    }
}

internal sealed class UnaryExpr(char op, Expr operand) : Expr
{
    public override IEnumerable<Node> Children => [operand];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        var value = operand.Evaluate(c);
        if (value is Undefined undefined)
            throw undefined.Fail();
        if (!PyNumber.IsNumber(value))
            throw TemplateException.Type($"bad operand type for unary {op}: '{Py.TypeName(value)}'");
        return op == '-' ? PyNumber.Negate(value!) : PyNumber.Plus(value!);
    }
}
