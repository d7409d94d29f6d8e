namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>English words in one spelling, and whether two are forms of one word. Regular endings only: what is not recognised is another word.</summary>
internal static class WordForms
{
    /// <summary>The American spelling of what is written in the British one: colour, metre, organise, grey.</summary>
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

    /// <summary>Whether two words, as <see cref="Spelled"/> gives them, are one in different forms: live, lives, lived, living.</summary>
    public static bool AreSame(string one, string other) => one == other || (one[0] == other[0] && Stem(one) == Stem(other));

    private static string Stem(string word)
    {
        if (word.Length < 4 || !word.All(char.IsAsciiLetter))
            return word;
        if (word.EndsWith("ies", StringComparison.Ordinal) && word.Length > 4)
            return word[..^3] + "y";
        if (word.EndsWith('s') && word[^2] is not ('s' or 'u' or 'i'))
            word = word[..^1];
        if (word.EndsWith("ied", StringComparison.Ordinal) && word.Length > 4)
            return word[..^3] + "y";
        var ending = word.EndsWith("ing", StringComparison.Ordinal) && word.Length >= 6 ? 3 : word.EndsWith("ed", StringComparison.Ordinal) && word.Length >= 5 ? 2 : 0;
        if (ending > 0 && word[..^ending].Any(IsVowel))
        {
            word = word[..^ending];
            // "stopped", but "sell".
            if (word.Length > 3 && word[^1] == word[^2] && !IsVowel(word[^1]) && word[^1] is not ('l' or 's' or 'z'))
                word = word[..^1];
        }

        return word.Length > 3 && word[^1] == 'e' ? word[..^1] : word;
    }

    private static bool IsVowel(char c) => c is 'a' or 'e' or 'i' or 'o' or 'u' or 'y';
}
