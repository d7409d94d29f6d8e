namespace LocalLlm.Sampling;

/// <summary>
/// The tokens of a row that min_p, top_k and top_p keep: those above the threshold, and of those equal to it the ones up to an id.
/// </summary>
/// <param name="Threshold">A logit before temperature.</param>
/// <param name="LastTie">The highest id kept among the tokens whose logit equals the threshold.</param>
internal readonly record struct Cut(float Threshold, int LastTie)
{
    public static Cut None { get; } = new(float.NegativeInfinity, int.MaxValue);

    public bool Keeps(float logit, int id) => logit > Threshold || (logit == Threshold && id <= LastTie);
}
