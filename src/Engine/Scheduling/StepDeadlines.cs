using System.Numerics;

namespace LocalLlm.Scheduling;

/// <summary>
/// The time after which a step counts as hung: a fixed limit, or a multiple of the longest step so far of about as many tokens. Until a
/// few steps of a size have been measured, the longest limit applies, because the first ones compile kernels and touch memory for the
/// first time. Used by one thread.
/// </summary>
internal sealed class StepDeadlines
{
    /// <summary>A step may take this many times the longest of its size.</summary>
    public const int Multiple = 100;

    // The first steps of a size, which get the longest limit.
    private const int FirstSteps = 3;

    /// <summary>The shortest limit derived from measurements: a busy machine may stop every process for seconds.</summary>
    public static readonly TimeSpan Shortest = TimeSpan.FromSeconds(30);

    private readonly TimeSpan _longest;
    private readonly bool _measures;
    private readonly (int Count, TimeSpan Longest)[] _sizes = new (int, TimeSpan)[33]; // by the binary logarithm of the tokens

    private StepDeadlines(TimeSpan longest, bool measures) => (_longest, _measures) = (longest, measures);

    /// <summary>Creates the deadlines from an engine's option and its devices.</summary>
    /// <param name="option">The option <c>step_timeout</c>, a fixed limit; null: not set.</param>
    /// <param name="longest">The longest limit if the option is not set; null: no limit.</param>
    /// <returns>The deadlines; null: a step may take any time.</returns>
    public static StepDeadlines? Of(TimeSpan? option, TimeSpan? longest) =>
        option is { } time ? new(time, measures: false) : longest is { } most ? new(most, measures: true) : null;

    /// <summary>The time limit of a step.</summary>
    /// <param name="tokens">Number of tokens of the step; of several steps at once, those of the largest.</param>
    public TimeSpan Of(int tokens)
    {
        var (count, longest) = _sizes[SizeOf(tokens)];
        if (!_measures || count < FirstSteps)
            return _longest;
        var limit = longest * Multiple > Shortest ? longest * Multiple : Shortest;
        return limit < _longest ? limit : _longest;
    }

    /// <summary>Records the duration of a step that has ended.</summary>
    public void Measure(int tokens, TimeSpan elapsed)
    {
        ref var size = ref _sizes[SizeOf(tokens)];
        size = (size.Count + 1, elapsed > size.Longest ? elapsed : size.Longest);
    }

    private static int SizeOf(int tokens) => 32 - BitOperations.LeadingZeroCount((uint)tokens);
}
