namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Brings English words to one spelling, and decides whether two are forms of one word. Only regular endings are recognized; any
/// other form is another word.</summary>
internal static class WordForms
{
    private static readonly string[] s_sibilants = ["ses", "xes", "zes", "ches", "shes", "oes"];

    /// <summary>The American spelling of a word in British spelling: colour, metre, organise, grey.</summary>
    public static string Spelled(string word) => word switch
    {
        "grey" => "gray",
        { Length: >= 5 } when word.EndsWith("our", StringComparison.Ordinal) => word[..^3] + "or",
        { Length: >= 6 } when word.EndsWith("ours", StringComparison.Ordinal) => word[..^4] + "ors",
        { Length: >= 5 } when word.EndsWith("tre", StringComparison.Ordinal) => word[..^2] + "er",
        { Length: >= 6 } when word.EndsWith("tres", StringComparison.Ordinal) => word[..^3] + "ers",
        { Length: >= 7 } when word.EndsWith("ise", StringComparison.Ordinal) => word[..^3] + "ize",
        { Length: >= 8 } when word.EndsWith("ised", StringComparison.Ordinal) => word[..^4] + "ized",
        _ => word,
    };

    /// <summary>
    /// Whether two words, as <see cref="Spelled"/> returns them, are forms of one word: live, lives, lived. A silent e counts (plane is not
    /// plan). A word in -ing is another word, because most such words are nouns of their own: shipping is not a ship.
    /// </summary>
    public static bool AreSame(string one, string other) => one == other || (one[0] == other[0] && BasesOf(one).Intersect(BasesOf(other)).Any());

    /// <summary>The words that the given word may be a form of, itself first.</summary>
    private static IEnumerable<string> BasesOf(string word)
    {
        yield return word;
        if (word.Length < 4 || !word.All(char.IsAsciiLetter))
            yield break;
        if (word.Length > 4 && (word.EndsWith("ies", StringComparison.Ordinal) || word.EndsWith("ied", StringComparison.Ordinal)))
            yield return word[..^3] + "y";
        if (word.EndsWith('s') && word[^2] is not ('s' or 'u' or 'i'))
        {
            yield return word[..^1];
            if (s_sibilants.Any(ending => word.EndsWith(ending, StringComparison.Ordinal)) && word.Length > 4)
                yield return word[..^2];
        }
        else if (word.EndsWith("ed", StringComparison.Ordinal) && word[..^2].Any(IsVowel))
        {
            var root = word[..^2];
            var isDoubled = root.Length > 2 && root[^1] == root[^2] && !IsVowel(root[^1]);
            // "stopped" is a form of stop, "filled" of fill, and "planed" of plane, because the past form of plan doubles the n.
            if (isDoubled)
                yield return root[..^1];
            if (isDoubled ? root[^1] is 'l' or 's' or 'z' or 'f' : !IsShort(root))
                yield return root;
            if (!isDoubled)
                yield return root + "e";
        }
    }

    /// <summary>Whether a root has one syllable and ends with a single consonant after a single vowel: it doubles that consonant before
    /// -ed.</summary>
    private static bool IsShort(string root) =>
        root.Length >= 2 && !IsVowel(root[^1]) && root[^1] is not ('w' or 'x') && IsVowel(root[^2]) && root[..^1].Count(IsVowel) == 1;

    private static bool IsVowel(char c) => c is 'a' or 'e' or 'i' or 'o' or 'u' or 'y';
}
