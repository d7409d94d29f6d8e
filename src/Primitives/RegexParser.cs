namespace LocalLlm.Primitives;

/// <summary>
/// Parses regular expressions. Nesting and repetitions are bounded. The parser refuses by name what a dialect does not have.
/// </summary>
public sealed class RegexParser
{
    private static readonly RegexNode.Set AnyButLineFeed = new(CodePointSet.Where(c => c != '\n'));
    private static readonly RegexNode.Set AnyButLineTerminators =
        new(CodePointSet.Of([(0, '\n' - 1), ('\n' + 1, '\r' - 1), ('\r' + 1, 0x2027), (0x202A, CodePoints.Last)]));

    private readonly RegexReader _reader;
    private readonly bool _isOniguruma;
    private readonly int _maxNesting;
    private readonly int _maxRepetitions;
    private int _nesting;
    private bool _ignoreCase;

    private RegexParser(string pattern, RegexDialect dialect)
    {
        _reader = new(pattern, dialect);
        _isOniguruma = dialect == RegexDialect.Oniguruma;
        (_maxNesting, _maxRepetitions) = _isOniguruma ? (50, 1000) : (200, 10_000);
    }

    /// <summary>Parses a whole pattern.</summary>
    /// <param name="pattern">The pattern.</param>
    /// <param name="dialect">The pattern's dialect.</param>
    /// <exception cref="RegexSyntaxException">The pattern is malformed or has something unsupported; the message says where.</exception>
    public static RegexNode Parse(string pattern, RegexDialect dialect)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        var parser = new RegexParser(pattern, dialect);
        var whole = parser.Alternation();
        return parser._reader.AtEnd ? whole : throw parser._reader.Wrong("unexpected ')'");
    }

    private RegexNode Alternation()
    {
        if (++_nesting > _maxNesting)
            throw _reader.Wrong($"groups are nested deeper than {_maxNesting}");
        var ignoreCase = _ignoreCase;
        var branches = new List<RegexNode> { Sequence() };
        while (_reader.TryTake('|'))
            branches.Add(Sequence());
        _nesting--;
        _ignoreCase = ignoreCase;
        return branches.Count == 1 ? branches[0] : new RegexNode.Alternation(branches);
    }

    private RegexNode.Sequence Sequence()
    {
        var parts = new List<RegexNode>();
        while (!_reader.AtEnd && !_reader.Is('|') && !_reader.Is(')'))
            parts.Add(_isOniguruma ? WithQuantifiers(Atom()) : WithQuantifier(Atom()));
        return new(parts);
    }

    // Parses at most one quantifier; a lazy quantifier allows the same texts.
    private RegexNode WithQuantifier(RegexNode atom)
    {
        if (Quantifier() is not { } found)
            return atom;
        var isLazy = _reader.TryTake('?');
        if (_reader.Is('+'))
            throw _reader.Wrong("possessive quantifiers are not possible");
        var end = _reader.At;
        if (_reader.Is('*') || _reader.Is('?') || Quantifier() is not null)
        {
            _reader.At = end;
            throw _reader.Wrong("a quantifier follows a quantifier: put the first into a group");
        }

        return new RegexNode.Repeat(atom, found.Min, found.Max, isLazy);
    }

    // Parses any number of quantifiers; each one repeats the result of the one before.
    private RegexNode WithQuantifiers(RegexNode node)
    {
        while (Quantifier() is var (min, max, isCount))
        {
            if (node is RegexNode.Anchor or RegexNode.Lookahead)
                throw _reader.Wrong("a quantifier after a position is not supported");

            // After {n,m} a '+' is one more quantifier, not a possessive one; {n}? would mean "optional".
            if (_reader.TryTake('?'))
                node = isCount && min == max
                    ? throw _reader.Wrong("the quantifier {n}? is not supported")
                    : new RegexNode.Repeat(node, min, max, Lazy: true);
            else if (!isCount && _reader.TryTake('+'))
                node = new RegexNode.Atomic(new RegexNode.Repeat(node, min, max, Lazy: false));
            else
                node = new RegexNode.Repeat(node, min, max, Lazy: false);
        }

        return node;
    }

    // Returns null if no quantifier begins here; a brace that begins none is a literal brace.
    private (int Min, int? Max, bool IsCount)? Quantifier()
    {
        if (_reader.TryTake('*'))
            return (0, null, false);
        if (_reader.TryTake('+'))
            return (1, null, false);
        if (_reader.TryTake('?'))
            return (0, 1, false);
        if (!_reader.Is('{'))
            return null;
        var start = _reader.At++;
        var min = Number();
        // {,3} is a quantifier in Oniguruma, and literal text in ECMAScript.
        var isWithoutMin = min is null && _reader.Is(',') && _reader.IsDigit(1);
        if (isWithoutMin && !_isOniguruma)
            throw _reader.Wrong("write {0,…} for a quantifier without a lower bound, and \\{ for the text");
        var max = min;
        if (_reader.TryTake(','))
            max = Number();
        if ((min is null && !isWithoutMin) || !_reader.TryTake('}'))
        {
            _reader.At = start;
            return null;
        }

        if (min > _maxRepetitions || max > _maxRepetitions)
            throw TooMany();
        return max is null || max >= (min ?? 0)
            ? (min ?? 0, max, true)
            : throw _reader.Wrong($"the quantifier {{{min},{max}}} is the wrong way round");
    }

    private int? Number()
    {
        var value = 0;
        var start = _reader.At;
        while (_reader.IsDigit())
        {
            value = Math.Min((value * 10) + _reader.Take() - '0', _maxRepetitions + 1);
            if (value > _maxRepetitions && !_isOniguruma)
                throw TooMany();
        }

        return _reader.At == start ? null : value;
    }

    private RegexSyntaxException TooMany() => _reader.Wrong($"more than {_maxRepetitions} repetitions");

    private bool IsQuantifierAhead()
    {
        var start = _reader.At--;
        var found = Quantifier() is not null;
        _reader.At = start;
        return found;
    }

    private RegexNode Atom()
    {
        var character = _reader.Take();
        switch (character)
        {
            case '(':
                return _isOniguruma ? OnigurumaGroup() : EcmaScriptGroup();
            case '[':
                return new RegexNode.Set(RegexClasses.Class(_reader, _ignoreCase));
            case '.':
                return _isOniguruma ? AnyButLineFeed : AnyButLineTerminators;
            case '\\':
                if (_isOniguruma && AnchorAhead() is { } anchor)
                    return new RegexNode.Anchor(anchor);
                var (codePoint, set) = RegexClasses.Escape(_reader, inClass: false);
                return set is null ? Literal(codePoint) : new RegexNode.Set(set);
            case '*' or '+' or '?':
            case '{' when !_isOniguruma && IsQuantifierAhead():
                throw _reader.Wrong("a quantifier has nothing to repeat");
            case '^':
                return new RegexNode.Anchor(_isOniguruma ? RegexAnchor.LineStart : RegexAnchor.TextStart);
            case '$':
                return new RegexNode.Anchor(_isOniguruma ? RegexAnchor.LineEnd : RegexAnchor.TextEnd);
            default:
                return Literal(character);
        }
    }

    private RegexNode.Set Literal(int character)
    {
        var set = CodePointSet.Of([(character, character)]);
        return new(_ignoreCase ? set.IgnoringCase() : set);
    }

    private RegexAnchor? AnchorAhead() =>
        _reader.TryTake('A') ? RegexAnchor.TextStart
        : _reader.TryTake('z') ? RegexAnchor.TextEnd
        : _reader.TryTake('Z') ? RegexAnchor.TextEndOrLastLineBreak
        : _reader.TryTake('b') ? RegexAnchor.WordBorder
        : _reader.TryTake('B') ? RegexAnchor.NoWordBorder : null;

    private RegexNode EcmaScriptGroup()
    {
        if (!_reader.TryTake('?') || _reader.TryTake(':'))
            return Body();
        _reader.TryTake('P');
        if (_reader.TryTake('<') && !_reader.Is('=') && !_reader.Is('!') && _reader.DistanceTo('>') is >= 0 and var length)
        {
            _reader.At += length + 1;
            return Body();
        }

        throw _reader.Wrong("look-around, back references and inline options are not possible");
    }

    private RegexNode OnigurumaGroup()
    {
        var ignoreCase = _ignoreCase;
        if (_reader.TryTake("?:"))
            return Body();
        if (_reader.TryTake("?="))
            return new RegexNode.Lookahead(Body(), Negative: false);
        if (_reader.TryTake("?!"))
            return new RegexNode.Lookahead(Body(), Negative: true);
        if (_reader.TryTake("?>"))
            return new RegexNode.Atomic(Body());
        bool? isCaseIgnored = _reader.TryTake("?i:") ? true : _reader.TryTake("?-i:") ? false : null;
        if (isCaseIgnored is { } value)
        {
            _ignoreCase = value;
            var body = Body();
            _ignoreCase = ignoreCase;
            return body;
        }

        // (?i) applies until the end of the enclosing group.
        if (_reader.TryTake("?i)"))
        {
            _ignoreCase = true;
            return Alternation();
        }

        return _reader.Is('?') || _reader.Is('*') ? throw _reader.Wrong($"the group \"({_reader.Ahead(3)}\" is not supported") : Body();
    }

    private RegexNode Body()
    {
        var body = Alternation();
        return _reader.TryTake(')') ? body : throw _reader.Wrong("')' is missing");
    }
}
