using LocalLlm.Jinja.Nodes;

namespace LocalLlm.Jinja.Runtime;

/// <summary>Collects the names that nodes use in one scope; it stops at nodes that open a scope of their own.</summary>
internal sealed class SymbolCollector(Symbols symbols)
{
    private Symbols _symbols = symbols;

    public void Visit(IEnumerable<Node> nodes)
    {
        foreach (var node in nodes)
            Visit(node);
    }

    public void Visit(Node? node)
    {
        switch (node)
        {
            case null or BlockStmt: break;
            case NameExpr name: Name(name); break;
            case NamespaceTarget target: _symbols.AddLoad(target.Name); break;
            case IfStmt branch: If(branch); break;
            case MacroStmt macro: _symbols.AddStore(macro.Name); break;
            case AssignStmt assign:
                Visit(assign.Value);
                Visit(assign.Target);
                break;
            case ForStmt loop: Visit(loop.Iterable); break;
            case CallBlockStmt block: Visit(block.Call); break;
            case FilterBlockStmt block: Visit(block.Filter); break;
            case WithStmt block: Visit(block.Values); break;
            case AssignBlockStmt block: Visit(block.Target); break;
            case LoadTemplateStmt load:
                Visit(load.Children);
                Array.ForEach(load.Names, _symbols.AddStore);
                break;
            default: Visit(node.Children); break;
        }
    }

    private void Name(NameExpr name)
    {
        switch (name.Use)
        {
            case NameUse.Parameter: _symbols.AddParameter(name.Name); break;
            case NameUse.Store: _symbols.AddStore(name.Name); break;
            default: _symbols.AddLoad(name.Name); break;
        }
    }

    // The names that a loop assigns are parameters of its body.
    public void VisitAsParameters(Expr target)
    {
        foreach (var name in target.Descendants().OfType<NameExpr>())
            _symbols.AddParameter(name.Name);
    }

    private void If(IfStmt branch)
    {
        Visit(branch.Branches[0].Test);
        var original = _symbols;
        var body = Inner(original, () => Visit(branch.Branches[0].Body));
        // Each elif is an if nested in the previous one, and sees its names.
        var elifs = Inner(original, () =>
        {
            foreach (var (test, statements) in branch.Branches.Skip(1))
                If(new IfStmt([(test, statements)], []) { Line = branch.Line });
        });
        var otherwise = Inner(original, () => Visit(branch.Otherwise));
        original.Merge([body, elifs, otherwise]);
    }

    private Symbols Inner(Symbols original, Action visit)
    {
        var copy = original.Copy();
        _symbols = copy;
        visit();
        _symbols = original;
        return copy;
    }
}
