namespace LocalLlm.Tokenizers;

/// <summary>SentencePiece's way: spaces become a visible mark, one mark is put in front, and pieces begin at marks.</summary>
/// <param name="replacement">The mark, one code point.</param>
/// <param name="scheme"><c>always</c>, <c>first</c> (only at the very beginning of the input) or <c>never</c>.</param>
/// <param name="split">Whether to split at the marks.</param>
internal sealed class MetaspacePreTokenizer(string replacement, string scheme, bool split) : PreTokenizer
{
    private readonly SplitPreTokenizer _split = new(new LiteralPattern(replacement), SplitBehavior.MergedWithNext, invert: false);

    public override PreTokenizedText Split(PreTokenizedText input)
    {
        var atFirst = input.Pieces.Count > 0 && input.Pieces[0].Start == 0 && input.AtStart;
        var marked = Mark(input);
        if (scheme != "never")
            marked = PiecePrefix.Add(marked, replacement, piece => scheme == "always" || atFirst && piece.Start == 0);
        return split ? _split.Split(marked) : marked;
    }

    private PreTokenizedText Mark(PreTokenizedText input)
    {
        if (replacement.Length == 1)
            return input with { Text = input.Text.ToString().Replace(' ', replacement[0]).AsMemory() };
        var text = new System.Text.StringBuilder();
        var pieces = new List<TextRange>();
        foreach (var piece in input.Pieces)
        {
            var start = text.Length;
            text.Append(input.Text.Slice(piece.Start, piece.Length).ToString().Replace(" ", replacement, StringComparison.Ordinal));
            pieces.Add(new(start, text.Length - start));
        }

        return input with { Text = text.ToString().AsMemory(), Pieces = pieces };
    }
}
