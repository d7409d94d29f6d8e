using LocalLlm.Jinja.Nodes;

namespace LocalLlm.Jinja.Runtime;

/// <summary>Finds the special names that a template part reads before it assigns them, nested scopes included.</summary>
internal static class UndeclaredNames
{
    public static HashSet<string> Find(IEnumerable<Node> nodes, params IEnumerable<string> names)
    {
        var open = names.ToHashSet(StringComparer.Ordinal);
        var found = new HashSet<string>(StringComparer.Ordinal);
        foreach (var node in nodes)
            Visit(node, open, found);
        return found;
    }

    private static void Visit(Node node, HashSet<string> open, HashSet<string> found)
    {
        switch (node)
        {
            case BlockStmt:
                return;
            case NameExpr { Use: NameUse.Load } name when open.Contains(name.Name):
                found.Add(name.Name);
                return;
            case NameExpr name:
                open.Remove(name.Name);
                return;
        }

        foreach (var child in node.Children)
            Visit(child, open, found);
    }
}
