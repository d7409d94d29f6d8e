using System.Numerics;

namespace LocalLlm.Scheduling;

/// <summary>
/// How long a step may take before it counts as hung: a fixed time, or a multiple of the longest step of about as many tokens so far. Until
/// a few steps of a size have been measured the longest limit holds: the first ones compile kernels and touch their memory. Used by one
/// thread.
/// </summary>
internal sealed class StepDeadlines
{
    /// <summary>A step may take this many times the longest of its size.</summary>
    public const int Multiple = 100;

    // Steps of a size that are not judged by those before them.
    private const int FirstSteps = 3;

    /// <summary>No limit that is derived from measurements is shorter: a busy machine stops everything for seconds.</summary>
    public static readonly TimeSpan Shortest = TimeSpan.FromSeconds(30);

    private readonly TimeSpan _longest;
    private readonly bool _measures;
    private readonly (int Count, TimeSpan Longest)[] _sizes = new (int, TimeSpan)[33]; // by the binary logarithm of the tokens

    private StepDeadlines(TimeSpan longest, bool measures) => (_longest, _measures) = (longest, measures);

    /// <summary>What an engine's option and its devices say.</summary>
    /// <param name="option">The option <c>step_timeout</c>, which holds as it is; null: not set.</param>
    /// <param name="longest">The longest limit where the option is not set; null: none.</param>
    /// <returns>Null: a step may take any time.</returns>
    public static StepDeadlines? Of(TimeSpan? option, TimeSpan? longest) =>
        option is { } time ? new(time, measures: false) : longest is { } most ? new(most, measures: true) : null;

    /// <summary>The limit of a step.</summary>
    /// <param name="tokens">Its tokens; of several steps at once those of the largest.</param>
    public TimeSpan Of(int tokens)
    {
        var (count, longest) = _sizes[SizeOf(tokens)];
        if (!_measures || count < FirstSteps)
            return _longest;
        var limit = longest * Multiple > Shortest ? longest * Multiple : Shortest;
        return limit < _longest ? limit : _longest;
    }

    /// <summary>A step has ended.</summary>
    public void Measure(int tokens, TimeSpan elapsed)
    {
        ref var size = ref _sizes[SizeOf(tokens)];
        size = (size.Count + 1, elapsed > size.Longest ? elapsed : size.Longest);
    }

    private static int SizeOf(int tokens) => 32 - BitOperations.LeadingZeroCount((uint)tokens);
}
