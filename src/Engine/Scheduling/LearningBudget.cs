namespace LocalLlm.Scheduling;

/// <summary>
/// What all drafters of an engine may add to their indexes in one step, so that many long prompts that come at once (a prefix cache lets
/// them) do not hold up a step: they are learned over several.
/// </summary>
internal sealed class LearningBudget
{
    /// <summary>Runs of a step: a few milliseconds.</summary>
    internal const int RunsOfStep = 4 * NgramDrafter.MaxLearnedRuns;

    private int _runs = RunsOfStep;

    /// <summary>A step begins.</summary>
    public void Refill() => _runs = RunsOfStep;

    /// <summary>Takes runs for tokens.</summary>
    /// <param name="wanted">Tokens to learn.</param>
    /// <param name="runsOfToken">Runs of each.</param>
    /// <param name="min">Tokens that may be learned whatever is left: those that one step brings.</param>
    /// <returns>Tokens that may be learned.</returns>
    public int Take(int wanted, int runsOfToken, int min)
    {
        var tokens = int.Min(wanted, int.Max(min, int.Max(0, _runs) / runsOfToken));
        _runs -= tokens * runsOfToken;
        return tokens;
    }
}
