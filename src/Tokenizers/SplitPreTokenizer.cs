namespace LocalLlm.Tokenizers;

/// <summary>Splits by a pattern.</summary>
internal sealed class SplitPreTokenizer(SplitPattern pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    public override PreTokenizedText Split(PreTokenizedText input) => input with { Pieces = Split(input.Text.Span, input.Pieces) };

    public List<TextRange> Split(ReadOnlySpan<char> text, List<TextRange> pieces)
    {
        var result = new List<TextRange>(Math.Max(pieces.Count, text.Length / 4));
        var matches = new List<TextRange>();
        foreach (var piece in pieces)
        {
            matches.Clear();
            pattern.FindAll(text.Slice(piece.Start, piece.Length), matches);
            var isolate = behavior == SplitBehavior.Isolated || behavior == SplitBehavior.Removed;
            if (isolate)
                Isolate(piece, matches, result);
            else
                Merge(piece, matches, result);
        }

        return result;
    }

    private void Isolate(TextRange piece, List<TextRange> matches, List<TextRange> result)
    {
        var keepMatches = behavior == SplitBehavior.Isolated || invert;
        var keepGaps = behavior == SplitBehavior.Isolated || !invert;
        var at = 0;
        foreach (var match in matches)
        {
            Add(result, piece, at, match.Start, keepGaps);
            Add(result, piece, match.Start, match.End, keepMatches);
            at = match.End;
        }

        Add(result, piece, at, piece.Length, keepGaps);
    }

    private void Merge(TextRange piece, List<TextRange> matches, List<TextRange> result)
    {
        // Matches and the gaps between them; an empty match counts here, as in the reference.
        var segments = new List<(int Start, int End, bool IsMatch)>();
        var at = 0;
        foreach (var match in matches)
        {
            if (at != match.Start)
                segments.Add((at, match.Start, invert));
            segments.Add((match.Start, match.End, !invert));
            at = match.End;
        }

        if (at != piece.Length)
            segments.Add((at, piece.Length, invert));
        if (behavior == SplitBehavior.MergedWithNext)
            segments.Reverse();

        var merged = new List<(int Start, int End)>();
        var previousMatch = false;
        foreach (var (start, end, isMatch) in segments)
        {
            var join = behavior == SplitBehavior.Contiguous ? isMatch == previousMatch : isMatch && !previousMatch;
            if (join && merged.Count > 0)
                merged[^1] = (Math.Min(merged[^1].Start, start), Math.Max(merged[^1].End, end));
            else
                merged.Add((start, end));
            previousMatch = isMatch;
        }

        if (behavior == SplitBehavior.MergedWithNext)
            merged.Reverse();
        foreach (var (start, end) in merged)
            Add(result, piece, start, end, keep: true);
    }

    private static void Add(List<TextRange> result, TextRange piece, int start, int end, bool keep)
    {
        if (keep && end > start)
            result.Add(new(piece.Start + start, end - start));
    }
}
