using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

/// <summary>The parameters and the body that macros, <c>call</c> blocks and <c>generation</c> blocks have.</summary>
internal sealed class MacroBody(NameExpr[] parameters, Expr[] defaults, Stmt[] statements)
{
    public NameExpr[] Parameters { get; } = parameters;

    /// <summary>Defaults of the last parameters.</summary>
    public Expr[] Defaults { get; } = defaults;

    public Stmt[] Statements { get; } = statements;

    public Function Function { get; set; } = null!;

    public Scope Scope { get; set; } = Scope.Empty;

    /// <summary>The special variables, if the body uses them.</summary>
    public Variable? Caller { get; set; }

    public Variable? Keywords { get; set; }

    public Variable? Varargs { get; set; }

    public IEnumerable<Node> Children => [.. Parameters, .. Defaults, .. Statements];

    public Expr? Default(int parameter)
    {
        var index = parameter - (Parameters.Length - Defaults.Length);
        return index >= 0 ? Defaults[index] : null;
    }
}

internal sealed class MacroStmt(string name, MacroBody body) : Stmt
{
    public string Name { get; } = name;

    public MacroBody Body { get; } = body;

    public Variable Variable { get; set; }

    public bool IsExported { get; set; }

    public override IEnumerable<Node> Children => Body.Children;

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        var macro = new Macro(Name, Body, c.Frame);
        c.Frame.Set(Variable, macro);
        if (IsExported)
            c.Exported[Name] = macro;
        return Flow.Next;
    }
}

/// <summary><c>{% call(parameters) macro(arguments) %}</c>; without a call it is a <c>generation</c> block.</summary>
internal sealed class CallBlockStmt(CallExpr? call, MacroBody body) : Stmt
{
    public CallExpr? Call { get; } = call;

    public MacroBody Body { get; } = body;

    public override IEnumerable<Node> Children => Call is null ? Body.Children : [Call, .. Body.Children];

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        var caller = new Macro(null, Body, c.Frame);
        var result = Call is null ? caller.Call(c, Arguments.None) : Call.Evaluate(c, caller);
        c.Write(Py.Str(c, result));
        return Flow.Next;
    }
}
