using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

/// <summary><c>{% for target in iterable if test recursive %} … {% else %} … {% endfor %}</c></summary>
internal sealed class ForStmt(Expr target, Expr iterable, Stmt[] body, Stmt[] otherwise, Expr? test, bool isRecursive) : Stmt
{
    public Expr Target { get; } = target;

    public Expr Iterable { get; } = iterable;

    public Stmt[] Body { get; } = body;

    public Stmt[] Otherwise { get; } = otherwise;

    public Expr? Test { get; } = test;

    public bool IsRecursive { get; } = isRecursive;

    /// <summary>The target as the filter test sees it, in its own function.</summary>
    public Expr? TestTarget { get; init; }

    public Function? TestFunction { get; set; }

    /// <summary>The function of a recursive loop; other loops run in the surrounding function.</summary>
    public Function? LoopFunction { get; set; }

    public Scope TestScope { get; set; } = Scope.Empty;

    public Scope BodyScope { get; set; } = Scope.Empty;

    public Scope ElseScope { get; set; } = Scope.Empty;

    /// <summary>The variable <c>loop</c>, if the body uses it.</summary>
    public Variable? Loop { get; set; }

    public override IEnumerable<Node> Children
    {
        get
        {
            IEnumerable<Node> nodes = [Target, Iterable, .. Body, .. Otherwise];
            return Test is null ? nodes : nodes.Append(Test);
        }
    }

    public override Flow Execute(RenderContext c)
    {
        c.Step();
        var items = Iterable.Evaluate(c);
        if (!IsRecursive)
            return Iterate(c, c.Frame, items, 0);
        c.Write(Recurse(c, c.Frame, items, 0));
        return Flow.Next;
    }

    /// <summary>Renders the loop over nested items, for <c>loop(items)</c>.</summary>
    public string Recurse(RenderContext c, Activation outer, object? items, int depth) =>
        c.Call(new Activation(LoopFunction!, outer), () =>
        {
            c.Capture(() => Iterate(c, outer, items, depth), out var text);
            return text;
        });

    private Flow Iterate(RenderContext c, Activation outer, object? items, int depth)
    {
        // The filter function closes over the code around it, which for a recursive loop is not the running frame.
        var source = Test is null ? items : PyIterator.Generator(Filter(c, IsRecursive ? outer : c.Frame, items));
        var iterator = Py.Iterate(c, source);
        LoopContext? loop = null;
        if (Loop is { } variable)
        {
            loop = new LoopContext(iterator, source, IsRecursive ? (this, outer) : null, depth);
            c.Frame.Set(variable, Missing.Value);
        }

        var completed = false;
        while (loop is null ? iterator.Next(out var item) : loop.Next(out item))
        {
            c.Step();
            Assignment.Store(c, Target, item);
            if (loop is not null)
                c.Frame.Set(Loop!.Value, loop);
            BodyScope.Enter(c);
            var flow = Run(c, Body);
            if (flow == Flow.Break)
                break;
            // An iteration that ends early does not count: Jinja2 then runs the else branch although there were items.
            completed |= flow == Flow.Next;
        }

        BodyScope.Leave(c);
        if (completed || Otherwise.Length == 0)
            return Flow.Next;
        ElseScope.Enter(c);
        var result = Run(c, Otherwise);
        if (result == Flow.Next)
            ElseScope.Leave(c);
        return result;
    }

    private IEnumerable<object?> Filter(RenderContext c, Activation outer, object? items)
    {
        var frame = new Activation(TestFunction!, outer);
        var first = true;
        var iterator = Py.Iterate(c, items);
        while (iterator.Next(out var item))
        {
            c.Step();
            var caller = c.Frame;
            c.Frame = frame;
            bool keep;
            try
            {
                if (first)
                    TestScope.Enter(c);
                first = false;
                Assignment.Store(c, TestTarget!, item);
                keep = Py.Truthy(Test!.Evaluate(c));
            }
            finally
            {
                c.Frame = caller;
            }

            if (keep)
                yield return item;
        }
    }
}
