using LocalLlm.Jinja.Nodes;

namespace LocalLlm.Jinja.Syntax;

/// <summary>Parses expressions by recursive descent, from the loosest operator to the tightest.</summary>
internal sealed partial class ExpressionParser(TokenStream stream, int maxNesting)
{
    // The parser builds a chain such as a + b + c, nested to the left, without recursion, but evaluating it recurses.
    private readonly int _maxHeight = 4 * maxNesting;
    private int _depth;

    public Expr Expression(bool withConditional = true) => withConditional ? Conditional() : Or();

    /// <summary>Parses one expression, or several separated by commas as a tuple.</summary>
    /// <param name="withConditional">Whether <c>a if b else c</c> is allowed.</param>
    /// <param name="endName">A name that ends the tuple after a comma.</param>
    /// <param name="inParentheses">Whether an empty tuple is allowed.</param>
    public Expr Tuple(bool withConditional = true, string? endName = null, bool inParentheses = false) =>
        TupleOf(() => Expression(withConditional), endName, inParentheses);

    private Expr TupleOf(Func<Expr> item, string? endName, bool inParentheses)
    {
        var line = stream.Current.Line;
        var items = new List<Expr>();
        var isTuple = false;
        while (true)
        {
            if (items.Count > 0)
                stream.ExpectOperator(",");
            if (IsTupleEnd(endName))
                break;
            items.Add(item());
            if (!stream.Current.IsOperator(","))
                break;
            isTuple = true;
            line = stream.Current.Line;
        }

        if (!isTuple && items.Count > 0)
            return items[0];
        if (!isTuple && !inParentheses)
            throw stream.Fail($"Expected an expression, got '{stream.Current.Describe()}'");
        return Checked(new TupleExpr([.. items]) { Line = line });
    }

    private bool IsTupleEnd(string? endName) => stream.Current.Type is TokenType.VariableEnd or TokenType.BlockEnd
        || stream.Current.IsOperator(")") || (endName is not null && stream.Current.IsName(endName));

    // Limits the height of the tree, which limits every recursion over it.
    private T Checked<T>(T expr)
        where T : Expr
    {
        foreach (var child in expr.Children.OfType<Expr>())
            expr.Height = Math.Max(expr.Height, child.Height + 1);
        return expr.Height <= _maxHeight ? expr : throw stream.Fail($"the expression nests deeper than {_maxHeight}");
    }

    private T Nested<T>(Func<T> parse)
    {
        if (++_depth > maxNesting)
            throw stream.Fail($"expressions nest deeper than {maxNesting}");
        var result = parse();
        _depth--;
        return result;
    }

    private Expr Conditional()
    {
        var line = stream.Current.Line;
        var then = Or();
        while (stream.SkipName("if"))
        {
            var test = Or();
            var otherwise = stream.SkipName("else") ? Nested(Conditional) : null;
            then = Checked(new ConditionalExpr(test, then, otherwise) { Line = line });
            line = stream.Current.Line;
        }

        return then;
    }

    private Expr Or()
    {
        var line = stream.Current.Line;
        var left = And();
        while (stream.SkipName("or"))
            left = Checked(new LogicExpr(isAnd: false, left, And()) { Line = line });
        return left;
    }

    private Expr And()
    {
        var line = stream.Current.Line;
        var left = Not();
        while (stream.SkipName("and"))
            left = Checked(new LogicExpr(isAnd: true, left, Not()) { Line = line });
        return left;
    }

    private Expr Not()
    {
        var line = stream.Current.Line;
        return stream.SkipName("not") ? Checked(new NotExpr(Nested(Not)) { Line = line }) : Compare();
    }

    private Expr Compare()
    {
        var line = stream.Current.Line;
        var first = Sum();
        var rest = new List<(string, Expr)>();
        while (true)
        {
            var token = stream.Current;
            if (token.Type == TokenType.Operator && token.Text is "==" or "!=" or "<" or "<=" or ">" or ">=")
            {
                stream.Next();
                rest.Add((token.Text, Sum()));
            }
            else if (stream.SkipName("in"))
            {
                rest.Add(("in", Sum()));
            }
            else if (token.IsName("not") && stream.Ahead.IsName("in"))
            {
                stream.Next();
                stream.Next();
                rest.Add(("not in", Sum()));
            }
            else
            {
                return rest.Count == 0 ? first : Checked(new CompareExpr(first, [.. rest]) { Line = line });
            }
        }
    }

    private Expr Sum() => Binary(Concat, "+", "-");

    private Expr Concat()
    {
        var line = stream.Current.Line;
        var parts = new List<Expr> { Product() };
        while (stream.SkipOperator("~"))
            parts.Add(Product());
        return parts.Count == 1 ? parts[0] : Checked(new ConcatExpr([.. parts]) { Line = line });
    }

    private Expr Product() => Binary(Power, "*", "/", "//", "%");

    private Expr Power() => Binary(() => Unary(), "**");

    private Expr Binary(Func<Expr> operand, params ReadOnlySpan<string> operators)
    {
        var line = stream.Current.Line;
        var left = operand();
        while (stream.Current.Type == TokenType.Operator && operators.Contains(stream.Current.Text))
        {
            var op = stream.Next().Text;
            left = Checked(new BinaryExpr(op, left, operand()) { Line = line });
        }

        return left;
    }

    private Expr Unary(bool withFilter = true)
    {
        var token = stream.Current;
        Expr expr;
        if (token.IsOperator("-") || token.IsOperator("+"))
        {
            stream.Next();
            expr = Checked(new UnaryExpr(token.Text[0], Nested(() => Unary(withFilter: false))) { Line = token.Line });
        }
        else
        {
            expr = Primary();
        }

        expr = Postfix(expr);
        return withFilter ? FilterSuffix(expr) : expr;
    }

    private Expr Primary(bool withNamespace = false)
    {
        var token = stream.Next();
        switch (token.Type)
        {
            case TokenType.Name:
                return Name(token, withNamespace);
            case TokenType.String:
                var text = token.Text;
                while (stream.Current.Type == TokenType.String)
                    text += stream.Next().Text;
                return new ConstExpr(text) { Line = token.Line };
            case TokenType.Integer or TokenType.Float:
                return new ConstExpr(token.Number) { Line = token.Line };
            case TokenType.Operator when token.Text == "(":
                var inner = Nested(() => Tuple(inParentheses: true));
                stream.ExpectOperator(")");
                return inner;
            case TokenType.Operator when token.Text == "[":
                return Nested(() => List(token.Line));
            case TokenType.Operator when token.Text == "{":
                return Nested(() => Dict(token.Line));
            default:
                throw TemplateException.Syntax($"unexpected '{token.Describe()}'", token.Line);
        }
    }

    private Expr Name(Token token, bool withNamespace)
    {
        switch (token.Text)
        {
            case "true" or "True": return new ConstExpr(true) { Line = token.Line };
            case "false" or "False": return new ConstExpr(false) { Line = token.Line };
            case "none" or "None": return new ConstExpr(null) { Line = token.Line };
        }

        if (!withNamespace || !stream.SkipOperator("."))
            return new NameExpr(token.Text) { Line = token.Line };
        return new NamespaceTarget(token.Text, stream.Expect(TokenType.Name).Text) { Line = token.Line };
    }

    private ListExpr List(int line)
    {
        var items = new List<Expr>();
        while (!stream.SkipOperator("]"))
        {
            if (items.Count > 0)
                stream.ExpectOperator(",");
            if (stream.SkipOperator("]"))
                break;
            items.Add(Expression());
        }

        return Checked(new ListExpr([.. items]) { Line = line });
    }

    private DictExpr Dict(int line)
    {
        var items = new List<(Expr, Expr)>();
        while (!stream.SkipOperator("}"))
        {
            if (items.Count > 0)
                stream.ExpectOperator(",");
            if (stream.SkipOperator("}"))
                break;
            var key = Expression();
            stream.ExpectOperator(":");
            items.Add((key, Expression()));
        }

        return Checked(new DictExpr([.. items]) { Line = line });
    }
}
