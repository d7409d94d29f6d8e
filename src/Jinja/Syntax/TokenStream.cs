namespace LocalLlm.Jinja.Syntax;

/// <summary>The tokens of a template, and the parser's position in them.</summary>
internal sealed class TokenStream(List<Token> tokens)
{
    private int _position;

    public Token Current => tokens[_position];

    public Token Ahead => tokens[Math.Min(_position + 1, tokens.Count - 1)];

    /// <summary>Returns the current token and moves past it, except at the end.</summary>
    public Token Next()
    {
        var token = Current;
        if (token.Type != TokenType.Eof)
            _position++;
        return token;
    }

    public bool SkipName(string name) => Skip(Current.IsName(name));

    public bool SkipOperator(string op) => Skip(Current.IsOperator(op));

    private bool Skip(bool matches)
    {
        if (matches)
            Next();
        return matches;
    }

    public Token Expect(TokenType type) =>
        Current.Type == type ? Next() : throw Unexpected(new Token(type, "", 0).Describe() is { Length: > 0 } text ? text : "name");

    public Token ExpectName(string name) => Current.IsName(name) ? Next() : throw Unexpected(name);

    public Token ExpectOperator(string op) => Current.IsOperator(op) ? Next() : throw Unexpected(op);

    private TemplateException Unexpected(string expected) => Fail(Current.Type == TokenType.Eof
        ? $"unexpected end of template, expected '{expected}'."
        : $"expected token '{expected}', got '{Current.Describe()}'");

    public TemplateException Fail(string message) => TemplateException.Syntax(message, Current.Line);
}
