using System.Diagnostics;

namespace LocalLlm.Sampling.Grammar;

/// <summary>What a schema may need while its grammar is made.</summary>
internal sealed class SchemaBudget
{
    private const int MaxSeconds = 5;
    private const int MaxBodies = 20_000;
    private const int StepsBetweenLooks = 100;
    private readonly long _begin = Stopwatch.GetTimestamp();
    private int _states = 100_000; // of products of automata; each takes some microseconds
    private int _bodies;
    private int _parts = 1_000_000; // said of properties, all objects together
    private long _work = 50_000_000; // steps of automata

    /// <summary>Counts a state of a product.</summary>
    /// <exception cref="GrammarException">There are too many, or it takes too long.</exception>
    public void TakeState()
    {
        if (--_states < 0)
            throw new GrammarException("conditions on one value make too many states together");
        TakeTime();
    }

    /// <summary>Counts something that schemas say together.</summary>
    /// <exception cref="GrammarException">There are too many, or it takes too long.</exception>
    public void TakeBody()
    {
        if (++_bodies > MaxBodies)
            throw new GrammarException($"more than {MaxBodies} combinations of schemas");
        TakeTime();
    }

    /// <summary>Counts what is said of a property.</summary>
    /// <exception cref="GrammarException">It is too much, or it takes too long.</exception>
    public void TakeParts(int count)
    {
        if ((_parts -= count) < 0)
            throw new GrammarException("too many schemas speak of too many properties");
        TakeTime();
    }

    /// <summary>Whether a text is in a grammar.</summary>
    /// <exception cref="GrammarException">Finding out takes too much work, all texts of the schema together.</exception>
    public bool Accepts(ByteAutomaton automaton, ReadOnlySpan<byte> text)
    {
        TakeTime();
        var bytes = text.ToArray();
        var accepts = false;
        automaton.Limited(ref _work, () =>
        {
            var state = automaton.Start;
            for (var i = 0; i < bytes.Length && state != GrammarState.Dead; i++)
            {
                state = automaton.Next(state, bytes[i]);
                if (i % StepsBetweenLooks != 0)
                    continue;
                TakeTime();
                state = automaton.Renewed(state);
            }

            accepts = state.IsAccepting;
        });
        return accepts;
    }

    /// <summary>Looks at the clock.</summary>
    /// <exception cref="GrammarException">It takes too long.</exception>
    public void TakeTime()
    {
        if (Stopwatch.GetElapsedTime(_begin).TotalSeconds > MaxSeconds)
            throw new GrammarException($"the schema takes longer than {MaxSeconds} s to be made into a grammar; make it simpler");
    }
}
