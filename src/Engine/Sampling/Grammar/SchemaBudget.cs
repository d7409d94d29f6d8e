using System.Diagnostics;

namespace LocalLlm.Sampling.Grammar;

/// <summary>What a schema may need while its grammar is made.</summary>
internal sealed class SchemaBudget
{
    private const int MaxSeconds = 5;
    private const int MaxBodies = 20_000;
    private readonly long _begin = Stopwatch.GetTimestamp();
    private int _states = 100_000; // of products of automata; each takes some microseconds
    private int _bodies;

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

    /// <summary>Looks at the clock.</summary>
    /// <exception cref="GrammarException">It takes too long.</exception>
    public void TakeTime()
    {
        if (Stopwatch.GetElapsedTime(_begin).TotalSeconds > MaxSeconds)
            throw new GrammarException($"the schema takes longer than {MaxSeconds} s to be made into a grammar; make it simpler");
    }
}
