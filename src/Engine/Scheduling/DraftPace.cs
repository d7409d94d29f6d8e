namespace LocalLlm.Scheduling;

/// <summary>
/// Decides how many tokens to draft for a sequence. If a guess is right with probability p, draft j is reached and right with probability
/// p^j. A draft whose probability is below <see cref="Worth"/> costs more time than it saves. p is a moving mean of the latest guesses.
/// </summary>
internal sealed class DraftPace
{
    /// <summary>The assumed cost of one more row in a step, as a share of the step's time.</summary>
    public const double Worth = 0.25;

    private const double FirstChance = 0.6;
    private const double Weight = 0.25;

    private double _chance = FirstChance;

    /// <summary>Number of tokens to draft.</summary>
    public int Length => _chance <= Worth ? 0 : (int)(Math.Log(Worth) / Math.Log(_chance));

    /// <summary>Records whether a guess of the next token was right.</summary>
    public void Observe(bool wasRight) => _chance += Weight * ((wasRight ? 1 : 0) - _chance);
}
