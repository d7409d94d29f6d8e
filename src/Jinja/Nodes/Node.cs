namespace LocalLlm.Jinja.Nodes;

/// <summary>A node of the syntax tree, which executes itself.</summary>
internal abstract class Node
{
    public required int Line { get; init; }

    /// <summary>The child nodes, in the order in which scopes are analysed.</summary>
    public abstract IEnumerable<Node> Children { get; }

    /// <summary>This node and all nodes below it; without recursion.</summary>
    public IEnumerable<Node> Descendants()
    {
        var stack = new Stack<Node>();
        stack.Push(this);
        while (stack.TryPop(out var node))
        {
            yield return node;
            foreach (var child in node.Children.Reverse())
                stack.Push(child);
        }
    }
}
