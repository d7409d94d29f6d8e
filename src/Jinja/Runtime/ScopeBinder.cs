using LocalLlm.Jinja.Builtins;
using LocalLlm.Jinja.Nodes;

namespace LocalLlm.Jinja.Runtime;

/// <summary>
/// Binds every name to its variable and every filter and test to its function. Reports the errors that Jinja2 reports when it
/// compiles a template, before any render.
/// </summary>
internal sealed class ScopeBinder
{
    private readonly HashSet<string> _blocks = new(StringComparer.Ordinal);

    /// <summary>A scope while its code is bound.</summary>
    /// <param name="Symbols">Its names.</param>
    /// <param name="Function">The function that its code runs in.</param>
    private readonly record struct Frame(Symbols Symbols, Function Function)
    {
        /// <summary>Whether assignments are exported to blocks.</summary>
        public bool IsTop { get; init; }

        /// <summary>Whether the code is inside an <c>if</c>: an unknown filter or test then fails only when a render reaches it.</summary>
        public bool IsSoft { get; init; }

        /// <summary>Whether a loop of the same function surrounds the code, so <c>break</c> and <c>continue</c> have a meaning.</summary>
        public bool InLoop { get; init; }

        public Frame Inner() => new(new Symbols(Symbols, Function, Symbols.Level + 1), Function) { InLoop = InLoop };

        /// <summary>A scope in a new function, which runs inside this scope's function.</summary>
        public Frame InnerFunction()
        {
            var function = new Function(Function);
            return new(new Symbols(Symbols, function, Symbols.Level + 1), function);
        }
    }

    public static (Function Function, Scope Scope) Bind(Stmt[] template)
    {
        var binder = new ScopeBinder();
        var function = new Function(null);
        var frame = new Frame(new Symbols(null, function, 0), function) { IsTop = true };
        new SymbolCollector(frame.Symbols).Visit(template);
        binder.Statements(template, frame);
        foreach (var block in template.SelectMany(s => s.Descendants()).OfType<BlockStmt>())
            binder.BlockBody(block);
        return (function, frame.Symbols.ToScope());
    }

    private void BlockBody(BlockStmt block)
    {
        if (!_blocks.Add(block.Name))
            throw TemplateException.Syntax($"block '{block.Name}' defined twice", block.Line);
        var frame = new Frame(new Symbols(null, block.Function, 0), block.Function);
        new SymbolCollector(frame.Symbols).Visit(block.Body);
        Statements(block.Body, frame);
        block.Scope = frame.Symbols.ToScope();
    }

    private void Statements(Stmt[] body, Frame frame)
    {
        foreach (var statement in body)
            Statement(statement, frame);
    }

    private void Statement(Stmt statement, Frame frame)
    {
        switch (statement)
        {
            case OutputStmt output:
                Expressions(output.Items, frame);
                break;
            case IfStmt branch:
                var soft = frame with { IsSoft = true };
                foreach (var (test, body) in branch.Branches)
                {
                    Expression(test, soft);
                    Statements(body, soft);
                }

                Statements(branch.Otherwise, soft);
                break;
            case ForStmt loop:
                Loop(loop, frame);
                break;
            case AssignStmt assign:
                Expression(assign.Value, frame);
                Expression(assign.Target, frame);
                break;
            case AssignBlockStmt assign:
                AssignBlock(assign, frame);
                break;
            case MacroStmt macro:
                Macro(macro.Body, frame, macro.Line);
                macro.Variable = Lookup(macro.Name, frame, macro.Line);
                macro.IsExported = frame.IsTop;
                break;
            case CallBlockStmt call:
                Macro(call.Body, frame, call.Line);
                Expression(call.Call, frame);
                break;
            case FilterBlockStmt filter:
                FilterBlock(filter, frame);
                break;
            case WithStmt with:
                With(with, frame);
                break;
            case BlockStmt { IsScoped: true } block:
                block.Outer = [.. frame.Symbols.AllStores().Distinct().Select(name => (name, Lookup(name, frame, block.Line)))];
                break;
            case LoadTemplateStmt load:
                if (load.Tag == "extends" && !frame.IsTop)
                    throw TemplateException.Syntax("cannot use extend from a non top-level scope", load.Line);
                Expressions(load.Children.OfType<Expr>(), frame);
                break;
            case LoopControlStmt control when !frame.InLoop:
                throw TemplateException.Syntax($"'{control.Keyword}' outside loop", control.Line);
        }
    }

    private void Loop(ForStmt loop, Frame frame)
    {
        foreach (var name in loop.Descendants().OfType<NameExpr>())
        {
            if (name is { Use: NameUse.Store, Name: "loop" })
                throw TemplateException.Syntax("Can't assign to special loop variable in for-loop target", name.Line);
        }

        Expression(loop.Iterable, frame);
        if (loop.Test is not null)
        {
            var test = frame.InnerFunction();
            Collect(test.Symbols, collector => collector.VisitAsParameters(loop.TestTarget!), loop.Test);
            Expression(loop.TestTarget, test);
            Expression(loop.Test, test);
            loop.TestFunction = test.Function;
            loop.TestScope = test.Symbols.ToScope();
        }

        // The body and the else branch of a recursive loop run in one function.
        var inner = loop.IsRecursive ? frame.InnerFunction() : frame.Inner();
        var otherwise = new Frame(new Symbols(frame.Symbols, inner.Function, inner.Symbols.Level), inner.Function) { InLoop = inner.InLoop };
        var usesLoop = loop.IsRecursive || UndeclaredNames.Find(loop.Body, "loop").Count > 0
            || loop.Descendants().Any(node => node is BlockStmt { IsScoped: true });
        if (usesLoop)
            inner.Symbols.AddParameter("loop");
        Collect(inner.Symbols, collector => collector.VisitAsParameters(loop.Target), loop.Body);
        Collect(otherwise.Symbols, null, loop.Otherwise);
        Expression(loop.Target, inner);
        Statements(loop.Body, inner with { InLoop = true });
        Statements(loop.Otherwise, otherwise);
        loop.LoopFunction = loop.IsRecursive ? inner.Function : null;
        loop.Loop = usesLoop ? inner.Symbols.Variable("loop", inner.Function) : null;
        loop.BodyScope = inner.Symbols.ToScope();
        loop.ElseScope = otherwise.Symbols.ToScope();
    }

    private static void Collect(Symbols symbols, Action<SymbolCollector>? first, params IEnumerable<Node> nodes)
    {
        var collector = new SymbolCollector(symbols);
        first?.Invoke(collector);
        collector.Visit(nodes);
    }

    private void Macro(MacroBody body, Frame frame, int line)
    {
        var inner = frame.InnerFunction();
        Collect(inner.Symbols, null, body.Children);
        var special = UndeclaredNames.Find(body.Statements, "caller", "kwargs", "varargs");
        body.Caller = Special("caller");
        body.Keywords = Special("kwargs");
        body.Varargs = Special("varargs");
        foreach (var parameter in body.Parameters)
            Expression(parameter, inner);
        foreach (var value in body.Defaults)
            Expression(value, inner);
        Statements(body.Statements, inner);
        body.Function = inner.Function;
        body.Scope = inner.Symbols.ToScope();

        Variable? Special(string name)
        {
            var parameter = Array.FindIndex(body.Parameters, p => p.Name == name);
            if (!special.Contains(name) || (parameter >= 0 && name != "caller"))
                return null;
            if (parameter >= 0 && body.Default(parameter) is null)
                throw TemplateException.Syntax("the special \"caller\" argument must be omitted or be given a default", line);
            if (parameter < 0)
                inner.Symbols.AddParameter(name);
            return inner.Symbols.Variable(name, inner.Function);
        }
    }

    private void AssignBlock(AssignBlockStmt assign, Frame frame)
    {
        var inner = frame.Inner();
        Collect(inner.Symbols, null, assign.Body);
        Statements(assign.Body, inner);
        Expression(assign.Target, frame);
        Expression(assign.Filter, inner);
        assign.Scope = inner.Symbols.ToScope();
    }

    private void FilterBlock(FilterBlockStmt filter, Frame frame)
    {
        var inner = frame.Inner();
        Collect(inner.Symbols, null, filter.Children);
        Statements(filter.Body, inner);
        Expression(filter.Filter, inner);
        filter.Scope = inner.Symbols.ToScope();
    }

    private void With(WithStmt with, Frame frame)
    {
        var inner = frame.Inner();
        Collect(inner.Symbols, null, [.. with.Targets, .. with.Body]);
        Expressions(with.Targets, inner);
        Expressions(with.Values, frame);
        Statements(with.Body, inner);
        with.Scope = inner.Symbols.ToScope();
    }

    private static void Expressions(IEnumerable<Expr> expressions, Frame frame)
    {
        foreach (var expression in expressions)
            Expression(expression, frame);
    }

    private static void Expression(Expr? expression, Frame frame)
    {
        switch (expression)
        {
            case null:
                return;
            case NameExpr name:
                name.Variable = Lookup(name.Name, frame, name.Line);
                name.IsExported = frame.IsTop && name.Use == NameUse.Store;
                return;
            case NamespaceTarget target:
                target.Variable = Lookup(target.Name, frame, target.Line);
                return;
            case FilterExpr filter:
                filter.Filter = FilterTable.Find(filter.Name) ?? Unknown<Filter>("filter", filter.Name, filter, frame);
                break;
            case TestExpr test:
                test.Test = TestTable.Find(test.Name) ?? Unknown<Test>("test", test.Name, test, frame);
                break;
            case ConditionalExpr:
                frame = frame with { IsSoft = true };
                break;
        }

        foreach (var child in expression.Children)
            Expression((Expr)child, frame);
    }

    private static T? Unknown<T>(string kind, string name, Expr expression, Frame frame)
        where T : class =>
        frame.IsSoft ? null : throw TemplateException.Syntax($"No {kind} named '{name}'.", expression.Line);

    private static Variable Lookup(string name, Frame frame, int line) => (frame.Symbols.Owner(name)
        ?? throw TemplateException.Syntax($"the name '{name}' cannot be used here", line)).Variable(name, frame.Function);
}
