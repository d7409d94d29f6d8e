namespace LocalLlm.Scheduling;

/// <summary>
/// Limits how much all drafters of an engine together add to their indexes in one step. Many long prompts may arrive at once (a prefix
/// cache makes that cheap); the drafters then learn them over several steps instead of delaying one.
/// </summary>
internal sealed class LearningBudget
{
    /// <summary>Maximum number of runs that are learned in a step: a few milliseconds.</summary>
    internal const int RunsOfStep = 4 * NgramDrafter.MaxLearnedRuns;

    private int _runs = RunsOfStep;

    /// <summary>Refills the budget at the start of a step.</summary>
    public void Refill() => _runs = RunsOfStep;

    /// <summary>Takes the runs of some tokens from the budget.</summary>
    /// <param name="wanted">Number of tokens to learn.</param>
    /// <param name="runsOfToken">Number of runs for each token.</param>
    /// <param name="min">Number of tokens that may be learned even if the budget is empty: as many as one step can add.</param>
    /// <returns>Number of tokens that may be learned.</returns>
    public int Take(int wanted, int runsOfToken, int min)
    {
        var tokens = int.Min(wanted, int.Max(min, int.Max(0, _runs) / runsOfToken));
        _runs -= tokens * runsOfToken;
        return tokens;
    }
}
