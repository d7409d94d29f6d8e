using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

/// <summary><c>and</c> and <c>or</c>: the value of the operand that decides.</summary>
internal sealed class LogicExpr(bool isAnd, Expr left, Expr right) : Expr
{
    public override IEnumerable<Node> Children => [left, right];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        var value = left.Evaluate(c);
        return Py.Truthy(value) == isAnd ? right.Evaluate(c) : value;
    }
}

internal sealed class NotExpr(Expr operand) : Expr
{
    public override IEnumerable<Node> Children => [operand];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        return !Py.Truthy(operand.Evaluate(c));
    }
}

/// <summary><c>then if test else otherwise</c>; without an <c>else</c> the value is undefined.</summary>
internal sealed class ConditionalExpr(Expr test, Expr then, Expr? otherwise) : Expr
{
    public Expr Test { get; } = test;

    public Expr Then { get; } = then;

    public Expr? Otherwise { get; } = otherwise;

    public override IEnumerable<Node> Children => Otherwise is null ? [Test, Then] : [Test, Then, Otherwise];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        if (Py.Truthy(Test.Evaluate(c)))
            return Then.Evaluate(c);
        return Otherwise is not null
            ? Otherwise.Evaluate(c)
            : Undefined.Hint($"the inline if-expression on line {Line} evaluated to false and no else section was defined.");
    }
}

/// <summary>A chain of comparisons, <c>a &lt; b == c</c>.</summary>
internal sealed class CompareExpr(Expr first, (string Op, Expr Operand)[] rest) : Expr
{
    public override IEnumerable<Node> Children => rest.Select(r => (Node)r.Operand).Prepend(first);

    /// <summary>The operand that <c>in</c> or <c>not in</c> searches for.</summary>
    public IEnumerable<Node> SearchedOperands => rest.Length > 0 && rest[0].Op is "in" or "not in" ? [first] : [];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        var left = first.Evaluate(c);
        foreach (var (op, operand) in rest)
        {
            var right = operand.Evaluate(c);
            if (!Test(c, op, left, right))
                return false;
            left = right;
        }

        return true;
    }

    public static bool Test(RenderContext c, string op, object? x, object? y) => op switch
    {
        "==" => Py.AreEqual(c, x, y),
        "!=" => !Py.AreEqual(c, x, y),
        "<" => Py.Compare(c, x, y, op) < 0,
        "<=" => Py.Compare(c, x, y, op) <= 0,
        ">" => Py.Compare(c, x, y, op) > 0,
        ">=" => Py.Compare(c, x, y, op) >= 0,
        "in" => Py.Contains(c, y, x),
        _ => !Py.Contains(c, y, x),
    };
}
