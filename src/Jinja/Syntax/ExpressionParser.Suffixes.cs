using LocalLlm.Jinja.Nodes;

namespace LocalLlm.Jinja.Syntax;

/// <summary>Parses what can follow a primary expression, and the targets of assignments.</summary>
internal sealed partial class ExpressionParser
{
    // Jinja2 compiles a call with one of Python's keywords as an argument name differently: a later keyword argument may then
    // replace an earlier one.
    private static readonly HashSet<string> PythonKeywords =
    [
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
        "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
        "return", "try", "while", "with", "yield",
    ];

    private Expr Postfix(Expr expr)
    {
        while (stream.Current.Type == TokenType.Operator && stream.Current.Text is "." or "[" or "(")
            expr = stream.Current.Text == "(" ? Call(expr) : Subscript(expr);
        return expr;
    }

    private Expr FilterSuffix(Expr expr)
    {
        while (true)
        {
            if (stream.Current.IsOperator("|"))
                expr = FilterChain(expr)!;
            else if (stream.Current.IsName("is"))
                expr = Test(expr);
            else if (stream.Current.IsOperator("("))
                expr = Call(expr);
            else
                return expr;
        }
    }

    private Expr Subscript(Expr target)
    {
        var token = stream.Next();
        if (token.Text == ".")
        {
            var name = stream.Next();
            return name.Type switch
            {
                TokenType.Name => Checked(new AttributeExpr(target, name.Text) { Line = token.Line }),
                TokenType.Integer => Checked(new ItemExpr(target, new ConstExpr(name.Number) { Line = name.Line }) { Line = token.Line }),
                _ => throw TemplateException.Syntax("expected name or number", name.Line),
            };
        }

        var keys = new List<Expr>();
        while (!stream.SkipOperator("]"))
        {
            if (keys.Count > 0)
                stream.ExpectOperator(",");
            keys.Add(Nested(Slice));
        }

        if (keys.Count > 1 && keys.Any(key => key is SliceExpr))
            throw TemplateException.Syntax("a slice must be the only subscript", token.Line);
        var arg = keys.Count == 1 ? keys[0] : Checked(new TupleExpr([.. keys]) { Line = token.Line });
        return Checked(new ItemExpr(target, arg) { Line = token.Line });
    }

    private Expr Slice()
    {
        var line = stream.Current.Line;
        Expr? start = null;
        if (!stream.Current.IsOperator(":"))
        {
            start = Expression();
            if (!stream.Current.IsOperator(":"))
                return start;
        }

        stream.Next();
        var stop = stream.Current.IsOperator(":") || IsSliceEnd() ? null : Expression();
        var step = stream.SkipOperator(":") && !IsSliceEnd() ? Expression() : null;
        return Checked(new SliceExpr(start, stop, step) { Line = line });
    }

    private bool IsSliceEnd() => stream.Current.IsOperator("]") || stream.Current.IsOperator(",");

    private CallExpr Call(Expr function)
    {
        var line = stream.Current.Line;
        return Checked(new CallExpr(function, Arguments()) { Line = line });
    }

    private ArgumentsExpr Arguments() => Nested(() =>
    {
        var line = stream.ExpectOperator("(").Line;
        var positional = new List<Expr>();
        var named = new List<(string Name, Expr Value)>();
        Expr? star = null, doubleStar = null;
        var first = true;
        while (!stream.SkipOperator(")"))
        {
            if (!first)
            {
                stream.ExpectOperator(",");
                if (stream.SkipOperator(")"))
                    break;
            }

            first = false;
            if (stream.SkipOperator("*"))
            {
                Ensure(star is null && doubleStar is null);
                star = Expression();
            }
            else if (stream.SkipOperator("**"))
            {
                Ensure(doubleStar is null);
                doubleStar = Expression();
            }
            else if (stream.Current.Type == TokenType.Name && stream.Ahead.IsOperator("="))
            {
                Ensure(doubleStar is null);
                var name = stream.Next().Text;
                stream.Next();
                named.Add((name, Expression()));
            }
            else
            {
                Ensure(star is null && doubleStar is null && named.Count == 0);
                positional.Add(Expression());
            }
        }

        if (named.DistinctBy(n => n.Name).Count() != named.Count && !named.Any(n => PythonKeywords.Contains(n.Name)))
            throw TemplateException.Syntax("keyword argument repeated", line);
        return new ArgumentsExpr([.. positional], [.. named], star, doubleStar);

        void Ensure(bool condition)
        {
            if (!condition)
                throw TemplateException.Syntax("invalid syntax for function call expression", line);
        }
    });

    /// <summary>Parses filters applied one after the other; null if there is no bar.</summary>
    /// <param name="value">The value they apply to; null for the text of a block.</param>
    /// <param name="inTag">Whether the first filter has no bar before it.</param>
    public FilterExpr? FilterChain(Expr? value, bool inTag = false)
    {
        FilterExpr? filter = null;
        while (inTag || stream.SkipOperator("|"))
        {
            inTag = false;
            var line = stream.Current.Line;
            var name = DottedName();
            var arguments = stream.Current.IsOperator("(") ? Arguments() : ArgumentsExpr.None;
            filter = Checked(new FilterExpr(filter ?? value, name, arguments) { Line = line });
        }

        return filter;
    }

    private string DottedName()
    {
        var name = stream.Expect(TokenType.Name).Text;
        while (stream.SkipOperator("."))
            name += "." + stream.Expect(TokenType.Name).Text;
        return name;
    }

    private Expr Test(Expr value)
    {
        var line = stream.Next().Line;
        var negated = stream.SkipName("not");
        var name = DottedName();
        var arguments = ArgumentsExpr.None;
        var token = stream.Current;
        if (token.IsOperator("("))
        {
            arguments = Arguments();
        }
        else if (token.Type is TokenType.Name or TokenType.String or TokenType.Integer or TokenType.Float
            || token.IsOperator("[") || token.IsOperator("{"))
        {
            if (token.IsName("is"))
                throw stream.Fail("You cannot chain multiple tests with is");
            if (!token.IsName("else") && !token.IsName("or") && !token.IsName("and"))
                arguments = new ArgumentsExpr([Nested(() => Postfix(Primary()))], [], null, null);
        }

        Expr test = Checked(new TestExpr(value, name, arguments) { Line = line });
        return negated ? Checked(new NotExpr(test) { Line = line }) : test;
    }

    /// <summary>Parses the target of a <c>set</c>, <c>for</c> or <c>with</c>.</summary>
    public Expr Target(string? endName = null, bool withNamespace = false)
    {
        var target = TupleOf(() => Primary(withNamespace), endName, inParentheses: false);
        RequireAssignable(target);
        return target;
    }

    public NameExpr TargetName()
    {
        var token = stream.Expect(TokenType.Name);
        var name = new NameExpr(token.Text) { Line = token.Line };
        RequireAssignable(IsConstant(token.Text) ? new ConstExpr(null) { Line = token.Line } : name);
        return name;
    }

    private static bool IsConstant(string name) => name is "true" or "false" or "none" or "True" or "False" or "None";

    private static void RequireAssignable(Expr target)
    {
        switch (target)
        {
            case NameExpr name:
                name.Use = NameUse.Store;
                break;
            case NamespaceTarget:
                break;
            case TupleExpr tuple:
                foreach (var item in tuple.Items)
                    RequireAssignable(item);
                break;
            default:
                var kind = target.GetType().Name.Replace("Expr", "", StringComparison.Ordinal).ToLowerInvariant();
                throw TemplateException.Syntax($"can't assign to '{kind}'", target.Line);
        }
    }
}
