using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Any supported regular expression, matched by backtracking over code points. Forks that have failed at a position are
/// remembered, so the time is linear in the text but for lookaheads over long stretches, and those have a step limit.
/// </summary>
internal sealed class RegexPattern : SplitPattern
{
    private readonly string _expression;
    private readonly RegexProgram _program;

    /// <exception cref="FormatException">The expression is malformed or uses what is not supported.</exception>
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
            // An empty match counts, but not right behind the match before it.
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
