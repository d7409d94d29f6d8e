using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

/// <summary><c>{% with name = value %}</c></summary>
internal sealed class WithStmt(Expr[] targets, Expr[] values, Stmt[] body) : Stmt
{
    public Expr[] Targets { get; } = targets;

    public Expr[] Values { get; } = values;

    public Stmt[] Body { get; } = body;

    public Scope Scope { get; set; } = Scope.Empty;

    public override IEnumerable<Node> Children => [.. Targets, .. Values, .. Body];

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        Scope.Enter(c);
        for (var i = 0; i < Targets.Length; i++)
            Assignment.Store(c, Targets[i], Values[i].Evaluate(c));
        var flow = Run(c, Body);
        if (flow == Flow.Next)
            Scope.Leave(c);
        return flow;
    }
}

/// <summary><c>{% filter name %}</c></summary>
internal sealed class FilterBlockStmt(FilterExpr filter, Stmt[] body) : Stmt
{
    public FilterExpr Filter { get; } = filter;

    public Stmt[] Body { get; } = body;

    public Scope Scope { get; set; } = Scope.Empty;

    public override IEnumerable<Node> Children => [.. Body, Filter];

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        Scope.Enter(c);
        var flow = c.Capture(Body, out var text);
        if (flow != Flow.Next)
            return flow;
        c.Write(Py.Str(c, Filter.Evaluate(c, text)));
        Scope.Leave(c);
        return Flow.Next;
    }
}

/// <summary><c>{% block name %}</c>, rendered in place because no template can extend this one.</summary>
internal sealed class BlockStmt(string name, Stmt[] body, bool isScoped, bool isRequired) : Stmt
{
    public string Name { get; } = name;

    public Stmt[] Body { get; } = body;

    public bool IsScoped { get; } = isScoped;

    public Function Function { get; } = new(null);

    public Scope Scope { get; set; } = Scope.Empty;

    /// <summary>The surrounding variables that a scoped block sees in addition to the exported ones.</summary>
    public (string Name, Variable Variable)[] Outer { get; set; } = [];

    public override IEnumerable<Node> Children => Body;

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        if (isRequired)
            throw TemplateException.Runtime($"Required block '{Name}' not found");
        var outer = new PyDict();
        foreach (var (name, variable) in Outer)
        {
            if (c.Frame.Get(variable) is var value && value != Missing.Value)
                outer[name] = value;
        }

        Render(c, outer);
        return Flow.Next;
    }

    public void Render(RenderContext c, PyDict outer) => c.Call(new Activation(Function, null), () =>
    {
        Scope.Enter(c, outer);
        return Run(c, Body);
    });
}
