using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

/// <summary>The arguments of a call, a filter or a test, as written.</summary>
internal sealed class ArgumentsExpr(Expr[] positional, (string Name, Expr Value)[] named, Expr? star, Expr? doubleStar)
{
    public static readonly ArgumentsExpr None = new([], [], null, null);

    public (string Name, Expr Value)[] Named { get; } = named;

    public IEnumerable<Node> Children =>
        [.. positional, .. Named.Select(n => n.Value), .. new[] { star, doubleStar }.OfType<Node>()];

    public Arguments Evaluate(RenderContext c, object? caller = null)
    {
        if (star is null && doubleStar is null && Named.Length == 0 && caller is null)
            return positional.Length == 0 ? Arguments.None : new Arguments(Array.ConvertAll(positional, p => p.Evaluate(c)));
        var values = new List<object?>(positional.Length);
        foreach (var expr in positional)
            values.Add(expr.Evaluate(c));
        if (star is not null)
            values.AddRange(Py.ToList(c, star.Evaluate(c)));
        var keywords = new PyDict();
        foreach (var (name, value) in Named)
            keywords[name] = value.Evaluate(c);
        if (doubleStar is not null)
            AddMapping(c, keywords, doubleStar.Evaluate(c));
        if (caller is not null)
            keywords["caller"] = caller;
        return new Arguments([.. values], keywords);
    }

    private static void AddMapping(RenderContext c, PyDict keywords, object? mapping)
    {
        if (mapping is Undefined undefined)
            throw undefined.Fail();
        if (mapping is not PyDict dict)
            throw TemplateException.Type($"argument after ** must be a mapping, not {Py.TypeName(mapping)}");
        foreach (var (key, value) in dict.Items)
        {
            c.Step();
            if (!PyText.TryGet(key, out var name))
                throw TemplateException.Type("keywords must be strings");
            if (keywords.Contains(name))
                throw TemplateException.Type($"got multiple values for keyword argument '{name}'");
            keywords[name] = value;
        }
    }
}

internal sealed class CallExpr(Expr function, ArgumentsExpr arguments) : Expr
{
    public Expr Function { get; } = function;

    public ArgumentsExpr Arguments { get; } = arguments;

    public override IEnumerable<Node> Children => [Function, .. Arguments.Children];

    public override object? Evaluate(RenderContext c) => Evaluate(c, caller: null);

    /// <summary>Calls the function, with the body of a <c>call</c> block as the keyword argument <c>caller</c>.</summary>
    public object? Evaluate(RenderContext c, Macro? caller)
    {
        c.Step();
        var function = Function.Evaluate(c);
        var args = Arguments.Evaluate(c, caller);
        c.Line = Line;
        return Access.Call(c, function, args);
    }
}

/// <summary><c>value | filter(arguments)</c>; in a filter block the value is null, and the block's text takes its place.</summary>
internal sealed class FilterExpr(Expr? value, string name, ArgumentsExpr arguments) : Expr
{
    public Expr? Value { get; } = value;

    public string Name { get; } = name;

    public ArgumentsExpr Arguments { get; } = arguments;

    /// <summary>Set when scopes are bound; null for an unknown filter, which a render may never reach.</summary>
    public Builtins.Filter? Filter { get; set; }

    public override IEnumerable<Node> Children => Value is null ? Arguments.Children : [Value, .. Arguments.Children];

    public override object? Evaluate(RenderContext c) => Evaluate(c, null);

    /// <summary>Applies the filter to the text of the surrounding block, which is the innermost value of a filter chain.</summary>
    public object? Evaluate(RenderContext c, string? blockText)
    {
        c.Step();
        var input = Value switch
        {
            null => blockText,
            FilterExpr inner => inner.Evaluate(c, blockText),
            _ => Value.Evaluate(c),
        };
        var args = Arguments.Evaluate(c);
        c.Line = Line;
        return (Filter ?? throw TemplateException.Runtime($"No filter named '{Name}' found."))(c, input, args);
    }
}

/// <summary><c>value is test(arguments)</c></summary>
internal sealed class TestExpr(Expr value, string name, ArgumentsExpr arguments) : Expr
{
    public string Name { get; } = name;

    public Expr Value { get; } = value;

    /// <summary>Set when scopes are bound; null for an unknown test, which a render may never reach.</summary>
    public Builtins.Test? Test { get; set; }

    public ArgumentsExpr Arguments { get; } = arguments;

    public override IEnumerable<Node> Children => [Value, .. Arguments.Children];

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        var input = Value.Evaluate(c);
        var args = Arguments.Evaluate(c);
        c.Line = Line;
        return (Test ?? throw TemplateException.Runtime($"No test named '{Name}' found."))(c, input, args);
    }
}
