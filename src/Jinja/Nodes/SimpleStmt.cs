using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

/// <summary>Text of the template.</summary>
internal sealed class DataExpr(string text) : Expr
{
    public string Text { get; } = text;

    public override IEnumerable<Node> Children => [];

    public override object? Evaluate(RenderContext c) => Text;
}

/// <summary>Consecutive text and print tags.</summary>
internal sealed class OutputStmt(Expr[] items) : Stmt
{
    public Expr[] Items { get; } = items;

    public override IEnumerable<Node> Children => Items;

    public override Flow Execute(RenderContext c)
    {
        foreach (var item in Items)
        {
            c.Line = item.Line;
            c.Write(Py.Str(c, item.Evaluate(c)));
        }

        return Flow.Next;
    }
}

internal sealed class LoopControlStmt(Flow flow) : Stmt
{
    public string Keyword => flow == Flow.Break ? "break" : "continue";

    public override IEnumerable<Node> Children => [];

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        return flow;
    }
}

/// <summary><c>include</c>, <c>import</c>, <c>from</c> and <c>extends</c>: there is nothing they could load.</summary>
internal sealed class LoadTemplateStmt(string tag, Expr template, string[] names) : Stmt
{
    public string Tag { get; } = tag;

    /// <summary>The variables that the tag would set.</summary>
    public string[] Names { get; } = names;

    public override IEnumerable<Node> Children => [template];

    public override Flow Execute(RenderContext c) =>
        throw TemplateException.Type($"'{Tag}' cannot load another template: a chat template must stand alone");
}

internal sealed class IfStmt((Expr Test, Stmt[] Body)[] branches, Stmt[] otherwise) : Stmt
{
    public (Expr Test, Stmt[] Body)[] Branches { get; } = branches;

    public Stmt[] Otherwise { get; } = otherwise;

    public override IEnumerable<Node> Children =>
        [.. Branches.SelectMany(b => b.Body.Prepend<Node>(b.Test)), .. Otherwise];

    public override Flow Execute(RenderContext c)
    {
        foreach (var (test, body) in Branches)
        {
            c.Step();
            c.Line = test.Line;
            if (Py.Truthy(test.Evaluate(c)))
                return Run(c, body);
        }

        return Run(c, Otherwise);
    }
}
