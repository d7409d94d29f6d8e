namespace LocalLlm.Jinja.Syntax;

/// <summary>One token: <paramref name="Text"/> is the name, the operator, the data or the unescaped string.</summary>
internal readonly record struct Token(TokenType Type, string Text, int Line, object? Number = null)
{
    public bool IsName(string name) => Type == TokenType.Name && Text == name;

    public bool IsOperator(string op) => Type == TokenType.Operator && Text == op;

    public string Describe() => Type switch
    {
        TokenType.Data => "template data / text",
        TokenType.VariableBegin => "begin of print statement",
        TokenType.VariableEnd => "end of print statement",
        TokenType.BlockBegin => "begin of statement block",
        TokenType.BlockEnd => "end of statement block",
        TokenType.Eof => "end of template",
        TokenType.Integer => "integer",
        TokenType.Float => "float",
        TokenType.String => "string",
        _ => Text,
    };
}
