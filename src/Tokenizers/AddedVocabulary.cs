using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>The added tokens of a tokenizer; finds them in text, before and after normalisation.</summary>
internal sealed class AddedVocabulary
{
    private readonly Dictionary<int, AddedToken> _byId;
    private readonly Dictionary<string, AddedToken> _byContent;
    private readonly Dictionary<int, string> _normalizedForms = [];

    public AddedVocabulary(IReadOnlyList<AddedToken> tokens, Normalizer? normalizer)
    {
        Tokens = tokens;
        _byId = tokens.ToDictionary(token => token.Id);
        _byContent = tokens.ToDictionary(token => token.Content, StringComparer.Ordinal);
        if (normalizer is not null)
        {
            foreach (var token in tokens.Where(token => token.Normalized))
                _normalizedForms[token.Id] = normalizer.Normalize(token.Content);
        }

        Raw = new(tokens.Where(token => !token.Normalized).Select(token => (token.Content, token)));
        Normalized = new(tokens.Where(token => token.Normalized).Select(token => (DecodedForm(token), token)));
    }

    public IReadOnlyList<AddedToken> Tokens { get; }

    /// <summary>Finds the tokens that are searched for in the text as given.</summary>
    public AddedTokenMatcher Raw { get; }

    /// <summary>Finds the tokens that are searched for in normalised text.</summary>
    public AddedTokenMatcher Normalized { get; }

    public AddedToken? ById(int id) => _byId.GetValueOrDefault(id);

    public AddedToken? ByContent(string content) => _byContent.GetValueOrDefault(content);

    /// <summary>The text that a token decodes to: its normalised form if it has one.</summary>
    public string DecodedForm(AddedToken token) => _normalizedForms.GetValueOrDefault(token.Id, token.Content);

    /// <summary>Cuts a text into tokens and the non-empty pieces between them, in order.</summary>
    /// <param name="text">The text, guards included.</param>
    /// <param name="matcher"><see cref="Raw"/> or <see cref="Normalized"/>.</param>
    /// <param name="guard">No token may begin right after this character or contain it; null: no guard is used.</param>
    public static List<AddedTokenSegment> Split(string text, AddedTokenMatcher matcher, char? guard)
    {
        var segments = new List<AddedTokenSegment>();
        var done = 0; // end of the last segment
        for (var at = matcher.NextCandidate(text, 0); at >= 0; at = matcher.NextCandidate(text, at))
        {
            var token = matcher.LongestAt(text, at, out var length);
            if (token is null || IsGuarded(text, at, length, guard))
            {
                at++;
                continue;
            }

            var (start, end) = (at, at + length);
            at = end;
            if (token.SingleWord && (WordBefore(text, start, guard) || WordAfter(text, end, guard)))
                continue;
            if (token.LeftStrip)
                start = Math.Max(SpacesBefore(text, start, guard), done);
            if (token.RightStrip)
                end = SpacesAfter(text, end, guard);
            if (done < start)
                segments.Add(new(done, start - done, null));
            segments.Add(new(start, end - start, token));
            done = end;
        }

        if (done < text.Length)
            segments.Add(new(done, text.Length - done, null));
        return segments;
    }

    private static bool IsGuarded(string text, int at, int length, char? guard) =>
        guard is { } g && (at > 0 && text[at - 1] == g || text.AsSpan(at, length).Contains(g));

    private static bool WordBefore(string text, int at, char? guard)
    {
        while (at > 0 && text[at - 1] == guard)
            at--;
        return at > 0 && CodePoints.IsWord(CodePoints.Before(text, at));
    }

    private static bool WordAfter(string text, int at, char? guard)
    {
        while (at < text.Length && text[at] == guard)
            at++;
        return at < text.Length && CodePoints.IsWord(CodePoints.At(text, at, out _));
    }

    private static int SpacesBefore(string text, int at, char? guard)
    {
        while (at > 0 && (CodePoints.IsSpace(text[at - 1]) || text[at - 1] == guard))
            at--;
        return at;
    }

    private static int SpacesAfter(string text, int at, char? guard)
    {
        // A guard is skipped only between spaces: before other text it still guards that text.
        var end = at;
        for (; at < text.Length && (CodePoints.IsSpace(text[at]) || text[at] == guard); at++)
        {
            if (text[at] != guard)
                end = at + 1;
        }

        return end;
    }
}
