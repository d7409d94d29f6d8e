using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

/// <summary><c>{% set target = value %}</c></summary>
internal sealed class AssignStmt(Expr target, Expr value) : Stmt
{
    public Expr Target { get; } = target;

    public Expr Value { get; } = value;

    public override IEnumerable<Node> Children => [Target, Value];

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        Assignment.RequireNamespaces(c, Target);
        Assignment.Store(c, Target, Value.Evaluate(c));
        return Flow.Next;
    }
}

/// <summary><c>{% set target | filter %}body{% endset %}</c></summary>
internal sealed class AssignBlockStmt(Expr target, FilterExpr? filter, Stmt[] body) : Stmt
{
    public Expr Target { get; } = target;

    public FilterExpr? Filter { get; } = filter;

    public Stmt[] Body { get; } = body;

    public Scope Scope { get; set; } = Scope.Empty;

    public override IEnumerable<Node> Children => Filter is null ? [Target, .. Body] : [Target, Filter, .. Body];

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        Scope.Enter(c);
        var flow = c.Capture(Body, out var text);
        if (flow != Flow.Next)
            return flow;
        Assignment.RequireNamespaces(c, Target);
        Assignment.Store(c, Target, Filter is null ? text : Filter.Evaluate(c, text));
        Scope.Leave(c);
        return Flow.Next;
    }
}

/// <summary>Stores values in names, tuples of names and namespace attributes.</summary>
internal static class Assignment
{
    public static void RequireNamespaces(RenderContext c, Expr target)
    {
        switch (target)
        {
            case NamespaceTarget attribute:
                attribute.Require(c);
                break;
            case TupleExpr tuple:
                foreach (var item in tuple.Items)
                    RequireNamespaces(c, item);
                break;
        }
    }

    public static void Store(RenderContext c, Expr target, object? value)
    {
        switch (target)
        {
            case NameExpr name:
                c.Frame.Set(name.Variable, value);
                if (name.IsExported)
                    c.Exported[name.Name] = value;
                break;
            case NamespaceTarget attribute:
                attribute.Require(c).Attributes[attribute.Attribute] = value;
                break;
            case TupleExpr tuple:
                Unpack(c, tuple.Items, value);
                break;
        }
    }

    private static void Unpack(RenderContext c, Expr[] targets, object? value)
    {
        if (!Py.IsIterable(value))
            throw TemplateException.Type($"cannot unpack non-iterable {Py.TypeName(value)} object");
        var items = new List<object?>(targets.Length);
        var iterator = Py.Iterate(c, value);
        while (items.Count <= targets.Length && iterator.Next(out var item))
            items.Add(item);
        if (items.Count > targets.Length)
            throw TemplateException.Value($"too many values to unpack (expected {targets.Length})");
        if (items.Count < targets.Length)
            throw TemplateException.Value($"not enough values to unpack (expected {targets.Length}, got {items.Count})");
        for (var i = 0; i < targets.Length; i++)
            Store(c, targets[i], items[i]);
    }
}
