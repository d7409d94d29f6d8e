using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Any supported regular expression, matched by backtracking over code points. The matcher remembers forks that failed at a
/// position, so the time is linear in the text. Lookaheads over long stretches are the exception; a step limit bounds them.
/// </summary>
internal sealed class RegexPattern : SplitPattern
{
    private readonly string _expression;
    private readonly RegexProgram _program;

    /// <exception cref="FormatException">The expression is malformed or uses an unsupported feature.</exception>
    public RegexPattern(string expression)
    {
        _expression = expression;
        _program = RegexProgram.Compile(RegexParser.Parse(expression, RegexDialect.Oniguruma));
    }

    public override void FindAll(ReadOnlySpan<char> text, List<TextRange> matches)
    {
        var matcher = new RegexMatcher(_program, text, _expression);
        var at = 0;
        var lastEnd = -1;
        while (at <= text.Length)
        {
            var end = matcher.MatchAt(at);
            // An empty match counts unless it directly follows the previous match.
            if (end > at || end == at && end != lastEnd)
            {
                matches.Add(new(at, end - at));
                lastEnd = end;
            }

            if (end > at)
                at = end;
            else if (at < text.Length && CodePoints.At(text, at, out var width) >= 0)
                at += width;
            else
                break;
        }
    }
}
