namespace LocalLlm.Grammars;

/// <summary>
/// The limit on the cost of compiling a schema. Work is counted in steps of some 10 ns and never timed, so every machine accepts
/// and refuses the same schemas. Every operation that can be expensive pays from this budget.
/// </summary>
internal sealed class SchemaBudget
{
    private const long AllWork = 7_000_000;
    private const long MaxAllocated = 40L << 20;
    private const int StepsBetweenLooks = 100;
    private const int WorkBetweenLooks = 20_000;
    private const int NodeWork = 4;
    private const int BodyWork = 500;
    private const int PartWork = 20;

    private readonly long _allocatedBefore = GC.GetAllocatedBytesForCurrentThread();
    private long _work = AllWork;
    private long _nextLook = AllWork;

    /// <summary>Pays for some steps.</summary>
    /// <exception cref="GrammarException">All steps together exceed the budget.</exception>
    public void Take(long work)
    {
        _work -= work;
        if (_work < 0)
            throw TooMuch();
        if (_work > _nextLook)
            return;

        // The memory check catches work that no code counted.
        _nextLook = _work - WorkBetweenLooks;
        if (GC.GetAllocatedBytesForCurrentThread() - _allocatedBefore > MaxAllocated)
            throw TooMuch();
    }

    /// <summary>Pays for combining several conditions on one value.</summary>
    /// <exception cref="GrammarException">The budget is exceeded.</exception>
    public void TakeBody() => Take(BodyWork);

    /// <summary>Pays for parts of a property, or for comparisons.</summary>
    /// <exception cref="GrammarException">The budget is exceeded.</exception>
    public void TakeParts(int count) => Take(PartWork * (long)count);

    /// <summary>The automaton of a language; null: the language has no text.</summary>
    /// <param name="language">Builds the rules of the language.</param>
    /// <exception cref="GrammarException">The automaton is too large.</exception>
    public ByteAutomaton? Automaton(Func<GrammarNodes, Fragment> language)
    {
        var nodes = new GrammarNodes(GrammarLimits.Default);
        try
        {
            var start = nodes.Finish(language(nodes));
            Take(NodeWork * (long)nodes.Count);
            var automaton = new ByteAutomaton(nodes, start, GrammarLimits.Default);
            Take(automaton.Work);
            return automaton;
        }
        catch (UnsatisfiableException)
        {
            return null;
        }
    }

    /// <summary>Whether a text is in a grammar.</summary>
    /// <exception cref="GrammarException">All such checks of the schema together take too much work.</exception>
    public bool Accepts(ByteAutomaton automaton, ReadOnlySpan<byte> text)
    {
        var state = automaton.Start;
        for (var i = 0; i < text.Length && state != GrammarState.Dead; i++)
        {
            var before = automaton.Work;
            state = automaton.Step(state, text[i]);
            if (i % StepsBetweenLooks == 0)
                state = automaton.Renewed(state);
            Take(automaton.Work - before + 1);
        }

        return state.IsAccepting;
    }

    private static GrammarException TooMuch() => new("the schema is too expensive to compile; use fewer alternatives, shorter patterns and smaller counts");
}
