namespace LocalLlm.Tokenizers;

/// <summary>A text and the pieces it has been split into so far.</summary>
/// <param name="Text">The text that contains the pieces.</param>
/// <param name="Pieces">Non-empty, in order; the text between them has been removed.</param>
/// <param name="AtStart">The text is the beginning of the whole input.</param>
internal sealed record PreTokenizedText(ReadOnlyMemory<char> Text, List<TextRange> Pieces, bool AtStart)
{
    public static PreTokenizedText Whole(string text, bool atStart) =>
        new(text.AsMemory(), text.Length == 0 ? [] : [new TextRange(0, text.Length)], atStart);
}
