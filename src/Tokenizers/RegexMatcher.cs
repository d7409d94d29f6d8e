using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Runs a <see cref="RegexProgram"/> over one text.</summary>
internal ref struct RegexMatcher
{
    private const long MaxMemoBits = 256L << 20;
    private const int MaxDepth = 200;
    private readonly RegexProgram.Instruction[] _code;
    private readonly ReadOnlySpan<char> _text;
    private readonly string _expression;
    private readonly ulong[]? _failed; // bit fork + position * forks: that fork has been entered at that position and has not succeeded
    private readonly int _forks;
    private readonly List<(int Instruction, int Position, int Trail)> _alternatives = [];
    private readonly List<long> _trail = []; // forks on the current path; they are unmarked when it succeeds
    private long _stepsLeft;

    public RegexMatcher(RegexProgram program, ReadOnlySpan<char> text, string expression)
    {
        _code = program.Code;
        _forks = program.Forks;
        _text = text;
        _expression = expression;
        var bits = (long)_forks * (text.Length + 1);
        _failed = bits <= MaxMemoBits ? new ulong[(bits + 63) / 64] : null;
        _stepsLeft = 1_000_000 + 200L * text.Length;
    }

    /// <summary>The end of the match that begins at <paramref name="position"/>, or -1.</summary>
    public int MatchAt(int position) => Run(0, position, 0);

    private int Run(int instruction, int position, int depth)
    {
        if (depth > MaxDepth)
            throw TooCostly();
        var floor = _alternatives.Count;
        var trailFloor = _trail.Count;
        while (true)
        {
            var next = Step(ref instruction, ref position, depth);
            if (next == Outcome.Match)
            {
                // A path that succeeded may succeed again from another start; all other tried paths stay marked as failed.
                for (var i = trailFloor; i < _trail.Count; i++)
                    Forget(_trail[i]);
                _alternatives.RemoveRange(floor, _alternatives.Count - floor);
                _trail.RemoveRange(trailFloor, _trail.Count - trailFloor);
                return position;
            }

            if (next == Outcome.Continue)
                continue;
            if (_alternatives.Count == floor)
            {
                _trail.RemoveRange(trailFloor, _trail.Count - trailFloor);
                return -1;
            }

            (instruction, position, var trail) = _alternatives[^1];
            _alternatives.RemoveAt(_alternatives.Count - 1);
            _trail.RemoveRange(trail, _trail.Count - trail);
        }
    }

    private Outcome Step(ref int at, ref int position, int depth)
    {
        if (--_stepsLeft < 0)
            throw TooCostly();
        ref readonly var instruction = ref _code[at];
        switch (instruction.Op)
        {
            case RegexProgram.Op.Set:
                if (position == _text.Length || !instruction.Members!.Contains(CodePoints.At(_text, position, out var width)))
                    return Outcome.Fail;
                position += width;
                at++;
                return Outcome.Continue;
            case RegexProgram.Op.Jump:
                at = instruction.First;
                return Outcome.Continue;
            case RegexProgram.Op.Fork:
                if (!Enter(instruction.Fork, position))
                    return Outcome.Fail;
                _alternatives.Add((instruction.Second, position, _trail.Count));
                at = instruction.First;
                return Outcome.Continue;
            case RegexProgram.Op.Anchor:
                at++;
                return Holds((RegexAnchor)instruction.First, position) ? Outcome.Continue : Outcome.Fail;
            case RegexProgram.Op.Match:
                return Outcome.Match;
            default:
                var end = Run(instruction.First, position, depth + 1);
                if (end < 0 != (instruction.Op == RegexProgram.Op.NegativeLookahead))
                    return Outcome.Fail;
                if (instruction.Op == RegexProgram.Op.Atomic)
                    position = end;
                at = instruction.Second;
                return Outcome.Continue;
        }
    }

    private readonly bool Enter(int fork, int position)
    {
        if (_failed is null)
            return true;
        var bit = (long)position * _forks + fork;
        ref var word = ref _failed[bit >> 6];
        if ((word >> (int)(bit & 63) & 1) != 0)
            return false;
        word |= 1ul << (int)(bit & 63);
        _trail.Add(bit);
        return true;
    }

    private readonly void Forget(long bit) => _failed![bit >> 6] &= ~(1ul << (int)(bit & 63));

    private readonly bool Holds(RegexAnchor anchor, int position) => anchor switch
    {
        RegexAnchor.TextStart => position == 0,
        RegexAnchor.TextEnd => position == _text.Length,
        RegexAnchor.TextEndOrLastLineBreak => position == _text.Length || position == _text.Length - 1 && _text[position] == '\n',
        RegexAnchor.LineStart => position == 0 || _text[position - 1] == '\n' && position < _text.Length,
        RegexAnchor.LineEnd => position == _text.Length || _text[position] == '\n',
        RegexAnchor.WordBorder => WordBefore(position) != WordAfter(position),
        _ => WordBefore(position) == WordAfter(position),
    };

    private readonly bool WordBefore(int position) => position > 0 && CodePoints.IsWord(CodePoints.Before(_text, position));

    private readonly bool WordAfter(int position) => position < _text.Length && CodePoints.IsWord(CodePoints.At(_text, position, out _));

    private readonly TokenizerException TooCostly() => TokenizerException.File(
        Tokenizer.FileName,
        $"the pattern \"{JsonField.Shorten(_expression)}\" takes too many steps on a text of {_text.Length} characters");

    private enum Outcome
    {
        Continue,
        Fail,
        Match,
    }
}
