using LocalLlm.Jinja.Nodes;
using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Syntax;

/// <summary>Parses statements; Jinja2's grammar with loop controls and the generation tag.</summary>
internal sealed class Parser
{
    private readonly TokenStream _stream;
    private readonly ExpressionParser _expressions;
    private readonly int _maxNesting;
    private readonly List<string> _openTags = [];

    private Parser(List<Token> tokens, int maxNesting)
    {
        _stream = new TokenStream(tokens);
        _expressions = new ExpressionParser(_stream, maxNesting);
        _maxNesting = maxNesting;
    }

    public static Stmt[] Parse(string source, TemplateLimits limits)
    {
        if (source.Length > limits.MaxSourceLength)
            throw TemplateException.Syntax($"a template of {source.Length} characters, allowed are {limits.MaxSourceLength}", 0);
        return new Parser(Lexer.Tokenize(source), limits.MaxNesting).Body([]);
    }

    // Parses statements up to one of the end tags, which is then the current token; without end tags, to the end of the template.
    private Stmt[] Body(string[] endTags)
    {
        var body = new List<Stmt>();
        var output = new List<Expr>();
        while (_stream.Current.Type != TokenType.Eof)
        {
            var token = _stream.Next();
            switch (token.Type)
            {
                case TokenType.Data:
                    output.Add(new DataExpr(token.Text) { Line = token.Line });
                    break;
                case TokenType.VariableBegin:
                    output.Add(_expressions.Tuple());
                    _stream.Expect(TokenType.VariableEnd);
                    break;
                default:
                    Flush(body, output);
                    if (_stream.Current.Type == TokenType.Name && endTags.Contains(_stream.Current.Text))
                        return [.. body];
                    body.Add(Statement());
                    _stream.Expect(TokenType.BlockEnd);
                    break;
            }
        }

        Flush(body, output);
        return endTags.Length == 0 ? [.. body] : throw Unclosed("Unexpected end of template.", endTags);
    }

    private static void Flush(List<Stmt> body, List<Expr> output)
    {
        if (output.Count > 0)
            body.Add(new OutputStmt([.. output]) { Line = output[0].Line });
        output.Clear();
    }

    private TemplateException Unclosed(string message, string[] endTags)
    {
        if (endTags.Length > 0)
            message += $" Jinja was looking for the following tags: {string.Join(" or ", endTags.Select(tag => $"'{tag}'"))}.";
        if (_openTags.Count > 0)
            message += $" The innermost block that needs to be closed is '{_openTags[^1]}'.";
        return _stream.Fail(message);
    }

    // Parses the body of a tag whose opening part was just read.
    private Stmt[] Statements(params string[] endTags)
    {
        _stream.SkipOperator(":");
        _stream.Expect(TokenType.BlockEnd);
        return Body(endTags);
    }

    private Stmt[] Statements(string endTag)
    {
        var body = Statements([endTag]);
        _stream.Next();
        return body;
    }

    private Stmt Statement()
    {
        var token = _stream.Current;
        if (token.Type != TokenType.Name)
            throw _stream.Fail("tag name expected");
        if (_openTags.Count >= _maxNesting)
            throw _stream.Fail($"tags nest deeper than {_maxNesting}");
        _openTags.Add(token.Text);
        var statement = Statement(token);
        _openTags.RemoveAt(_openTags.Count - 1);
        return statement;
    }

    private Stmt Statement(Token token)
    {
        _stream.Next();
        switch (token.Text)
        {
            case "for": return For(token.Line);
            case "if": return If(token.Line);
            case "set": return Set(token.Line);
            case "macro": return Macro(token.Line);
            case "call": return CallBlock(token.Line);
            case "with": return With(token.Line);
            case "print": return Print(token.Line);
            case "block": return Block(token.Line);
            case "generation":
                return new CallBlockStmt(null, new MacroBody([], [], Statements("endgeneration"))) { Line = token.Line };
            case "filter":
                var filter = _expressions.FilterChain(null, inTag: true)!;
                return new FilterBlockStmt(filter, Statements("endfilter")) { Line = token.Line };
            case "break": return new LoopControlStmt(Flow.Break) { Line = token.Line };
            case "continue": return new LoopControlStmt(Flow.Continue) { Line = token.Line };
            case "include" or "import" or "from" or "extends": return Load(token);
            case "autoescape": throw _stream.Fail("the tag 'autoescape' is not available in chat templates");
            default:
                _openTags.RemoveAt(_openTags.Count - 1);
                throw Unclosed($"Encountered unknown tag '{token.Text}'.", []);
        }
    }

    private ForStmt For(int line)
    {
        var target = _expressions.Target(endName: "in");
        _stream.ExpectName("in");
        var iterable = _expressions.Tuple(withConditional: false, endName: "recursive");
        var test = _stream.SkipName("if") ? _expressions.Expression() : null;
        var recursive = _stream.SkipName("recursive");
        var body = Statements("endfor", "else");
        Stmt[] otherwise = _stream.Next().Text == "endfor" ? [] : Statements("endfor");
        return new ForStmt(target, iterable, body, otherwise, test, recursive)
        {
            Line = line,
            TestTarget = test is null ? null : Copy(target),
        };
    }

    // The target is assigned in two places: the filter function and the loop.
    private static Expr Copy(Expr target) => target switch
    {
        NameExpr name => new NameExpr(name.Name) { Line = name.Line, Use = name.Use },
        TupleExpr tuple => new TupleExpr(Array.ConvertAll(tuple.Items, Copy)) { Line = tuple.Line },
        _ => target,
    };

    private IfStmt If(int line)
    {
        var branches = new List<(Expr, Stmt[])>();
        while (true)
        {
            branches.Add((_expressions.Tuple(withConditional: false), Statements("elif", "else", "endif")));
            var end = _stream.Next().Text;
            if (end == "elif")
                continue;
            return new IfStmt([.. branches], end == "else" ? Statements("endif") : []) { Line = line };
        }
    }

    private Stmt Set(int line)
    {
        var target = _expressions.Target(withNamespace: true);
        if (_stream.SkipOperator("="))
            return new AssignStmt(target, _expressions.Tuple()) { Line = line };
        var filter = _expressions.FilterChain(null);
        return new AssignBlockStmt(target, filter, Statements("endset")) { Line = line };
    }

    private MacroStmt Macro(int line)
    {
        var name = _expressions.TargetName().Name;
        var (parameters, defaults) = Signature();
        return new MacroStmt(name, new MacroBody(parameters, defaults, Statements("endmacro"))) { Line = line };
    }

    private CallBlockStmt CallBlock(int line)
    {
        var (parameters, defaults) = _stream.Current.IsOperator("(") ? Signature() : ([], []);
        if (_expressions.Expression() is not CallExpr call)
            throw TemplateException.Syntax("expected call", line);
        return new CallBlockStmt(call, new MacroBody(parameters, defaults, Statements("endcall"))) { Line = line };
    }

    private (NameExpr[] Parameters, Expr[] Defaults) Signature()
    {
        _stream.ExpectOperator("(");
        var parameters = new List<NameExpr>();
        var defaults = new List<Expr>();
        while (!_stream.Current.IsOperator(")"))
        {
            if (parameters.Count > 0)
                _stream.ExpectOperator(",");
            var parameter = _expressions.TargetName();
            parameter.Use = NameUse.Parameter;
            if (parameters.Any(p => p.Name == parameter.Name))
                throw _stream.Fail($"duplicate argument '{parameter.Name}'");
            if (_stream.SkipOperator("="))
                defaults.Add(_expressions.Expression());
            else if (defaults.Count > 0)
                throw _stream.Fail("non-default argument follows default argument");
            parameters.Add(parameter);
        }

        _stream.Next();
        return ([.. parameters], [.. defaults]);
    }

    private WithStmt With(int line)
    {
        var targets = new List<Expr>();
        var values = new List<Expr>();
        while (_stream.Current.Type != TokenType.BlockEnd)
        {
            if (targets.Count > 0)
                _stream.ExpectOperator(",");
            var target = _expressions.Target();
            foreach (var name in target.Descendants().OfType<NameExpr>())
                name.Use = NameUse.Parameter;
            targets.Add(target);
            _stream.ExpectOperator("=");
            values.Add(_expressions.Expression());
        }

        return new WithStmt([.. targets], [.. values], Statements("endwith")) { Line = line };
    }

    private OutputStmt Print(int line)
    {
        var items = new List<Expr>();
        while (_stream.Current.Type != TokenType.BlockEnd)
        {
            if (items.Count > 0)
                _stream.ExpectOperator(",");
            items.Add(_expressions.Expression());
        }

        return new OutputStmt([.. items]) { Line = line };
    }

    private BlockStmt Block(int line)
    {
        var name = _stream.Expect(TokenType.Name).Text;
        var isScoped = _stream.SkipName("scoped");
        var isRequired = _stream.SkipName("required");
        var body = Statements("endblock");
        if (isRequired && body.Any(s => s is not OutputStmt output || output.Items.Any(i => i is not DataExpr d || !Values.PyText.IsSpace(d.Text))))
            throw TemplateException.Syntax("Required blocks can only contain comments or whitespace", line);
        _stream.SkipName(name);
        return new BlockStmt(name, body, isScoped, isRequired) { Line = line };
    }

    private LoadTemplateStmt Load(Token tag)
    {
        var template = _expressions.Expression();
        var names = new List<string>();
        switch (tag.Text)
        {
            case "include" when _stream.Current.IsName("ignore") && _stream.Ahead.IsName("missing"):
                _stream.Next();
                _stream.Next();
                break;
            case "import":
                _stream.ExpectName("as");
                names.Add(_expressions.TargetName().Name);
                break;
            case "from":
                ImportedNames(names);
                break;
        }

        if (tag.Text != "extends" && (_stream.Current.IsName("with") || _stream.Current.IsName("without")) && _stream.Ahead.IsName("context"))
        {
            _stream.Next();
            _stream.Next();
        }

        return new LoadTemplateStmt(tag.Text, template, [.. names]) { Line = tag.Line };
    }

    private void ImportedNames(List<string> names)
    {
        _stream.ExpectName("import");
        do
        {
            if (_stream.Current.Type != TokenType.Name)
                throw _stream.Fail("expected the name of a macro to import");
            if (_stream.Ahead.IsName("context") && _stream.Current.Text is "with" or "without")
                return;
            var name = _expressions.TargetName().Name;
            if (name.StartsWith('_'))
                throw _stream.Fail("names starting with an underline can not be imported");
            names.Add(_stream.SkipName("as") ? _expressions.TargetName().Name : name);
        }
        while (_stream.SkipOperator(","));
    }
}
