using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Marks the positions of untrusted text where an added token could begin. When in doubt it marks: a mark before text that is not
/// a token changes nothing.
/// </summary>
internal sealed class TextGuard(AddedVocabulary added, Normalizer? normalizer)
{
    private readonly AddedTokenMatcher _skeletons = new(
        added.Tokens.Where(token => token.Normalized).Select(token => (SkeletonOf(added.DecodedForm(token)), token)));

    // A template may change its input (lower, replace, join); whatever it does, a token still needs its first character.
    private readonly HashSet<int> _firstCharacters =
        [.. added.Tokens.SelectMany(token => new[] { token.Content, added.DecodedForm(token) })
            .Where(text => text.Length > 0).Select(text => CodePoints.Fold(CodePoints.At(text, 0, out _)))];

    /// <summary>
    /// Puts <paramref name="guard"/> before each position where a token begins, could be completed by later text, or continues
    /// earlier text.
    /// </summary>
    /// <param name="text">The untrusted text.</param>
    /// <param name="guard">A noncharacter, U+FDD0 to U+FDEF.</param>
    /// <param name="exempt">Token texts that may stay tokens. With null no text may, and every first character of a token is
    /// marked too.</param>
    public string Apply(string text, char guard, Predicate<string>? exempt)
    {
        CheckGuard(guard);
        text = CodePoints.ReplaceLoneSurrogates(text);
        bool Counts(AddedToken token) => exempt?.Invoke(token.Content) != true;

        var marks = new bool[text.Length + 1];
        Mark(text, added.Raw, Counts, marks, map: null);
        // A normalised token is found wherever its own text appears ...
        Mark(text, added.Normalized, Counts, marks, map: null);
        // ... and wherever the normaliser could produce it from other characters.
        if (normalizer is not null && !_skeletons.IsEmpty)
            MarkSkeletons(text, Counts, marks);
        if (exempt is null)
            MarkFirstCharacters(text, marks);
        return Insert(text, marks, guard);
    }

    public static void CheckGuard(char guard)
    {
        if (guard is < '\uFDD0' or > '\uFDEF')
            throw new ArgumentOutOfRangeException(nameof(guard), $"U+{(int)guard:X4} is no noncharacter from U+FDD0 to U+FDEF");
    }

    private static void Mark(string text, AddedTokenMatcher tokens, Predicate<AddedToken> counts, bool[] marks, List<int>? map)
    {
        if (tokens.MayContinue(text, counts))
            marks[0] = true;
        for (var at = tokens.NextCandidate(text, 0); at >= 0; at = tokens.NextCandidate(text, at + 1))
        {
            if (tokens.MayBeginAt(text, at, counts))
                marks[map is null ? at : map[at]] = true;
        }
    }

    private void MarkFirstCharacters(string text, bool[] marks)
    {
        for (var i = 0; i < text.Length;)
        {
            var codePoint = CodePoints.At(text, i, out var width);
            marks[i] |= _firstCharacters.Contains(CodePoints.Fold(codePoint));
            i += width;
        }
    }

    private void MarkSkeletons(string text, Predicate<AddedToken> counts, bool[] marks)
    {
        if (!normalizer!.IsByCharacter)
        {
            // Such a normaliser's output cannot be traced to positions of the text, so every position is marked.
            for (var i = 0; i < text.Length; i += char.IsHighSurrogate(text[i]) ? 2 : 1)
                marks[i] = true;
            return;
        }

        var skeleton = new StringBuilder(text.Length);
        var map = new List<int>(text.Length); // skeleton position → text position
        var known = new Dictionary<int, string>();
        for (var i = 0; i < text.Length;)
        {
            var codePoint = CodePoints.At(text, i, out var width);
            if (!known.TryGetValue(codePoint, out var part))
                known[codePoint] = part = SkeletonOf(char.ConvertFromUtf32(codePoint));
            skeleton.Append(part);
            for (var k = 0; k < part.Length; k++)
                map.Add(i);
            i += width;
        }

        Mark(skeleton.ToString(), _skeletons, counts, marks, map);
    }

    /// <summary>The part of a text that no normal form, case folding, accent stripping or marking of spaces changes.</summary>
    private static string SkeletonOf(string text)
    {
        var result = new StringBuilder(text.Length);
        // .NET refuses to normalise U+FFFE; another noncharacter works as well.
        foreach (var rune in text.Replace('\uFFFE', '\uFFFF').Normalize(NormalizationForm.FormKD).EnumerateRunes())
        {
            if (rune.Value == ' ')
                result.Append('▁');
            else if (!CodePoints.Is(rune.Value, CodePoints.Mark))
                result.Append(new Rune(CodePoints.Fold(rune.Value)).ToString());
        }

        return result.ToString();
    }

    private static string Insert(string text, bool[] marks, char guard)
    {
        var count = marks.Count(mark => mark);
        if (count == 0)
            return text;
        return string.Create(text.Length + count, (text, marks, guard), static (result, state) =>
        {
            var at = 0;
            for (var i = 0; i < state.text.Length; i++)
            {
                if (state.marks[i])
                    result[at++] = state.guard;
                result[at++] = state.text[i];
            }
        });
    }
}
