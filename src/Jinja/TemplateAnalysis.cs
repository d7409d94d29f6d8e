using LocalLlm.Jinja.Nodes;

namespace LocalLlm.Jinja;

/// <summary>Facts about a chat template that follow from its syntax tree.</summary>
public sealed class TemplateAnalysis
{
    private static readonly HashSet<string> SearchMethods =
    [
        "split", "rsplit", "partition", "rpartition", "startswith", "endswith", "find", "rfind", "index", "rindex", "count", "replace",
        "removeprefix", "removesuffix",
    ];

    private readonly List<Node> _nodes;

    /// <summary>Analyses a template.</summary>
    /// <param name="template">The template.</param>
    public TemplateAnalysis(JinjaTemplate template)
    {
        ArgumentNullException.ThrowIfNull(template);
        _nodes = [.. template.Body.SelectMany(statement => statement.Descendants())];
        IteratesContent = FindContentLoop();
        ChecksForString = _nodes.OfType<TestExpr>().Any(test => test.Name is "string" && IsContent(test.Value));
        ChecksForNone = _nodes.OfType<TestExpr>().Any(test => test.Name is "none" && IsContent(test.Value));
        var aliases = _nodes.OfType<AssignStmt>().Where(assign => IsNamed(assign.Value, "arguments")).Select(assign => assign.Target).OfType<NameExpr>();
        string[] arguments = ["arguments", .. aliases.Select(alias => alias.Name)];
        TakesArgumentsAsText = _nodes.OfType<TestExpr>().Any(test => test.Name is "string" && arguments.Any(name => IsNamed(test.Value, name)));
        KnowsDevelopers = template.Source.Contains("developer", StringComparison.Ordinal);
        UsesTools = _nodes.OfType<NameExpr>().Any(name => name.Name == "tools");
        SearchedTexts = [.. Searched().Distinct()];
    }

    /// <summary>The template iterates over the parts of a message's content (vLLM's test for the format <c>openai</c>).</summary>
    public bool IteratesContent { get; }

    /// <summary>The template tests whether a content is a string, so it accepts strings as well as lists of parts.</summary>
    public bool ChecksForString { get; }

    /// <summary>The template tests whether a content is None, so None must reach it.</summary>
    public bool ChecksForNone { get; }

    /// <summary>The template tests whether the arguments of a tool call are a string, so it accepts text as well as objects.</summary>
    public bool TakesArgumentsAsText { get; }

    /// <summary>The template knows the role <c>developer</c>, OpenAI's newer name for <c>system</c>.</summary>
    public bool KnowsDevelopers { get; }

    /// <summary>The template uses the variable <c>tools</c>.</summary>
    public bool UsesTools { get; }

    /// <summary>The constant texts that the template searches for in other text.</summary>
    public IReadOnlyList<string> SearchedTexts { get; }

    private static bool IsContent(Expr expr) => IsNamed(expr, "content");

    // name, x.name or x["name"]
    private static bool IsNamed(Expr expr, string wanted) => expr switch
    {
        NameExpr name => name.Name == wanted,
        AttributeExpr attribute => attribute.Name == wanted,
        ItemExpr { Key: ConstExpr { Value: string key } } => key == wanted,
        _ => false,
    };

    private bool FindContentLoop()
    {
        var loops = _nodes.OfType<ForStmt>().ToList();
        if (loops.Any(loop => loop is { Iterable: NameExpr { Name: "content" }, Target: NameExpr }))
            return true;
        var lists = AliasesOf("messages");
        if (lists is null)
            return false;
        var messages = new HashSet<string>(StringComparer.Ordinal);
        foreach (var loop in loops.Where(loop => lists.Any(list => Reads(loop.Iterable, list, null))))
        {
            if (loop.Target is not NameExpr target)
                return false;
            messages.Add(target.Name);
        }

        var contentLoop = loops.Find(loop => messages.Any(message => Reads(loop.Iterable, message, "content")));
        return contentLoop?.Target is NameExpr;
    }

    // The variable and all names assigned from it or from a slice of it; null if a target is not a name.
    private HashSet<string>? AliasesOf(string variable)
    {
        var aliases = new HashSet<string>(StringComparer.Ordinal) { variable };
        var queue = new Queue<string>(aliases);
        while (queue.TryDequeue(out var name))
        {
            foreach (var assign in _nodes.OfType<AssignStmt>().Where(assign => Reads(assign.Value, name, null)))
            {
                if (assign.Target is not NameExpr target)
                    return null;
                if (aliases.Add(target.Name))
                    queue.Enqueue(target.Name);
            }
        }

        return aliases;
    }

    // name, name.key or name["key"], possibly filtered or sliced.
    private static bool Reads(Expr expr, string name, string? key) => expr switch
    {
        FilterExpr filter => filter.Value is not null && Reads(filter.Value, name, key),
        TestExpr test => Reads(test.Value, name, key),
        ItemExpr { Key: SliceExpr } slice => Reads(slice.Target, name, key),
        NameExpr variable => key is null && variable.Name == name,
        AttributeExpr { Target: NameExpr target } attribute => key == attribute.Name && target.Name == name,
        ItemExpr { Target: NameExpr target, Key: ConstExpr { Value: string item } } => key == item && target.Name == name,
        _ => false,
    };

    private IEnumerable<string> Searched()
    {
        foreach (var node in _nodes)
        {
            var texts = node switch
            {
                CompareExpr compare => compare.SearchedOperands,
                CallExpr { Function: AttributeExpr method } call when SearchMethods.Contains(method.Name) => call.Arguments.Children,
                FilterExpr { Name: "replace" } filter => filter.Arguments.Children,
                _ => [],
            };
            foreach (var text in texts.SelectMany(argument => argument is TupleExpr tuple ? tuple.Items : new[] { argument }))
            {
                if (text is ConstExpr { Value: string { Length: > 0 } constant })
                    yield return constant;
            }
        }
    }
}
