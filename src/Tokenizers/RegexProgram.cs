using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>A regular expression as instructions for a backtracking machine.</summary>
internal sealed class RegexProgram
{
    private const int MaxInstructions = 5000;
    private readonly List<Instruction> _code = [];

    private RegexProgram()
    {
    }

    public enum Op
    {
        /// <summary>One code point of the set.</summary>
        Set,

        /// <summary>Try the first target, then the second.</summary>
        Fork,

        /// <summary>Go to the first target.</summary>
        Jump,

        /// <summary>The position must be as the anchor says.</summary>
        Anchor,

        /// <summary>Run the following instructions to their <see cref="Match"/>; continue at the second target, nothing consumed.</summary>
        Lookahead,

        /// <summary>Like <see cref="Lookahead"/>, but the instructions must not match.</summary>
        NegativeLookahead,

        /// <summary>Run the following instructions to their <see cref="Match"/>; continue after the match at the second target.</summary>
        Atomic,

        /// <summary>Success of the program, or of the part that was run.</summary>
        Match,
    }

    public Instruction[] Code { get; private set; } = [];

    /// <summary>Number of forks: a matcher remembers which positions it tried at each.</summary>
    public int Forks { get; private set; }

    public static RegexProgram Compile(RegexNode node)
    {
        var program = new RegexProgram();
        program.Emit(node);
        program.Add(new Instruction(Op.Match));
        program.Code = [.. program._code];
        return program;
    }

    private int Add(Instruction instruction)
    {
        if (_code.Count == MaxInstructions)
            throw new FormatException($"an expression of more than {MaxInstructions} steps is not supported");
        _code.Add(instruction);
        return _code.Count - 1;
    }

    private int AddFork() => Add(new Instruction(Op.Fork, Fork: Forks++));

    private void Target(int at, int? first = null, int? second = null) =>
        _code[at] = _code[at] with { First = first ?? _code[at].First, Second = second ?? _code[at].Second };

    private void Emit(RegexNode node)
    {
        switch (node)
        {
            case RegexNode.Set set:
                Add(new Instruction(Op.Set, Members: set.Members));
                break;
            case RegexNode.Sequence sequence:
                foreach (var part in sequence.Parts)
                    Emit(part);
                break;
            case RegexNode.Anchor anchor:
                Add(new Instruction(Op.Anchor, First: (int)anchor.Kind));
                break;
            case RegexNode.Alternation alternation:
                EmitAlternation(alternation);
                break;
            case RegexNode.Repeat repeat:
                EmitRepeat(repeat);
                break;
            case RegexNode.Lookahead lookahead:
                EmitPart(lookahead.Negative ? Op.NegativeLookahead : Op.Lookahead, lookahead.Body);
                break;
            case RegexNode.Atomic atomic:
                EmitPart(Op.Atomic, atomic.Body);
                break;
        }
    }

    private void EmitPart(Op op, RegexNode body)
    {
        var start = Add(new Instruction(op));
        Emit(body);
        Add(new Instruction(Op.Match));
        Target(start, first: start + 1, second: _code.Count);
    }

    private void EmitAlternation(RegexNode.Alternation alternation)
    {
        var jumps = new List<int>();
        for (var i = 0; i < alternation.Branches.Count - 1; i++)
        {
            var fork = AddFork();
            Emit(alternation.Branches[i]);
            jumps.Add(Add(new Instruction(Op.Jump)));
            Target(fork, first: fork + 1, second: _code.Count);
        }

        Emit(alternation.Branches[^1]);
        foreach (var jump in jumps)
            Target(jump, first: _code.Count);
    }

    private void EmitRepeat(RegexNode.Repeat repeat)
    {
        for (var i = 0; i < repeat.Min; i++)
            Emit(repeat.Body);
        if (repeat.Max is null)
        {
            // A body that matched nothing returns to a fork already tried at this position, which ends the loop.
            var fork = AddFork();
            Emit(repeat.Body);
            Add(new Instruction(Op.Jump, First: fork));
            Branch(fork, repeat.Lazy);
            return;
        }

        var forks = new List<int>();
        for (var i = repeat.Min; i < repeat.Max; i++)
        {
            forks.Add(AddFork());
            Emit(repeat.Body);
        }

        foreach (var fork in forks)
            Branch(fork, repeat.Lazy);
    }

    private void Branch(int fork, bool lazy) =>
        Target(fork, first: lazy ? _code.Count : fork + 1, second: lazy ? fork + 1 : _code.Count);

    /// <summary>One step; which fields count depends on <paramref name="Op"/>.</summary>
    public readonly record struct Instruction(Op Op, int First = 0, int Second = 0, CodePointSet? Members = null, int Fork = 0);
}
