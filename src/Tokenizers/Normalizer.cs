namespace LocalLlm.Tokenizers;

/// <summary>Rewrites text before it is split. Input and output are well-formed UTF-16.</summary>
internal abstract class Normalizer
{
    public abstract string Normalize(string text);

    /// <summary>
    /// Whether each character is rewritten independently (up to canonical equivalence, case and accents). If so, the source of a
    /// normalised text can be found character by character.
    /// </summary>
    public virtual bool IsByCharacter => true;
}
