namespace LocalLlm.Tokenizers;

/// <summary>Finds the stretches of a text at which it is split.</summary>
internal abstract class SplitPattern
{
    /// <summary>Appends all matches from left to right, none overlapping another, as a regular expression's search would.</summary>
    public abstract void FindAll(ReadOnlySpan<char> text, List<TextRange> matches);
}
