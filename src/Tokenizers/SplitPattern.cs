namespace LocalLlm.Tokenizers;

/// <summary>Finds the stretches of a text at which it is split.</summary>
internal abstract class SplitPattern
{
    /// <summary>Appends all non-overlapping matches from left to right, as a regular expression search would.</summary>
    public abstract void FindAll(ReadOnlySpan<char> text, List<TextRange> matches);
}
