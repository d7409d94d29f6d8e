namespace LocalLlm.Tokenizers;

/// <summary>Matches one text literally.</summary>
internal sealed class LiteralPattern(string literal) : SplitPattern
{
    public string Literal => literal;

    public override void FindAll(ReadOnlySpan<char> text, List<TextRange> matches)
    {
        if (literal.Length == 0)
            return;
        for (var at = 0; text[at..].IndexOf(literal, StringComparison.Ordinal) is >= 0 and var step; at += step + literal.Length)
            matches.Add(new(at + step, literal.Length));
    }
}
