namespace LocalLlm.Scheduling;

/// <summary>
/// How many tokens of a sequence are worth drafting. With a chance p that a guess is right, draft j is reached and right with p^j; one
/// that is less likely than <see cref="Worth"/> costs more time than it saves. The chance is a moving mean of the latest guesses.
/// </summary>
internal sealed class DraftPace
{
    /// <summary>The share of a step's time that a further row of it may take.</summary>
    public const double Worth = 0.25;

    private const double FirstChance = 0.6;
    private const double Weight = 0.25;

    private double _chance = FirstChance;

    /// <summary>Tokens to draft.</summary>
    public int Length => _chance <= Worth ? 0 : (int)(Math.Log(Worth) / Math.Log(_chance));

    /// <summary>Takes whether a guess of the next token was right.</summary>
    public void Observe(bool wasRight) => _chance += Weight * ((wasRight ? 1 : 0) - _chance);
}
