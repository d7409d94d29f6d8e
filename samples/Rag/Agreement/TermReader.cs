using System.Text;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Reads a text as terms.</summary>
internal static class TermReader
{
    // Unicode's private use area: one such character replaces each phrase that was recognized as a whole in a question.
    public const char FirstPlaceholder = '\uE000';
    public const char LastPlaceholder = '\uF8FF';

    public static IReadOnlyList<Term> Read(string text)
    {
        var plain = text.Normalize(NormalizationForm.FormKC);
        var terms = new List<Term>();
        for (var i = 0; i < plain.Length;)
        {
            var c = plain[i];
            if (char.IsWhiteSpace(c))
                i++;
            else if (IsApostrophe(c))
                i += Apostrophe(plain, i, terms);
            else if (c is >= FirstPlaceholder and <= LastPlaceholder)
                Add(new(plain.Substring(i++, 1), TermKind.Content));
            else if (FunctionWords.IsWideWordAt(plain, i))
            {
                Add(new(plain.Substring(i++, 1), TermKind.Content, IsWide: true));
                Add(new(plain.Substring(i++, 1), TermKind.Content, IsWide: true));
            }
            else if (FunctionWords.WideAt(plain, i) is var (word, kind) && (word.Length > 1 || FunctionWords.IsGrammar(plain, i, ContentAtEnd(terms, plain, i))))
            {
                Add(new(word, kind, IsWide: true));
                i += word.Length;
            }
            else if (IsWide(c))
                Add(new(plain.Substring(i++, 1), TermKind.Content, IsWide: true));
            else if (char.IsDigit(c) || (c is '-' or '\u2212' && IsSign(plain, i)))
                i += Number(plain, i, terms);
            else if (char.IsLetter(c) || char.IsSurrogate(c))
                i += Word(plain, i, terms);
            else
            {
                // A mark that joins words ("km/h", "well-known") does not divide phrases; a dash between spaces does.
                if (!IsJoint(plain, i))
                    Add(new(c.ToString(), TermKind.Break));
                i++;
            }
        }

        return terms;

        void Add(Term term) => terms.Add(term);
    }

    /// <summary>Chinese and Japanese characters; Korean has spaces between words.</summary>
    public static bool IsWide(char c) => c is >= '\u3040' and <= '\u30FF' or >= '\u3400' and <= '\u9FFF' or >= '\uF900' and <= '\uFAFF';

    /// <summary>How many content characters of a script without spaces stand directly before a place.</summary>
    private static int ContentAtEnd(List<Term> terms, string text, int at) =>
        at == 0 || char.IsWhiteSpace(text[at - 1]) ? 0 : terms.AsEnumerable().Reverse().TakeWhile(term => term is { Kind: TermKind.Content, IsWide: true }).Count();

    private static int Apostrophe(string text, int at, List<Term> terms)
    {
        var isS = at + 1 < text.Length && text[at + 1] is 's' or 'S' && (at + 2 == text.Length || !char.IsLetterOrDigit(text[at + 2]));
        if (!isS || at == 0 || !char.IsLetterOrDigit(text[at - 1]))
            return 1;
        // "What's the price?" and "It's blue." have a form of "to be"; "the scanner's price" has a possessive.
        terms.Add(new("'s", terms[^1].Kind is TermKind.Interrogative or TermKind.Pronoun or TermKind.Function ? TermKind.Be : TermKind.Possessive));
        return 2;
    }

    private static int Number(string text, int at, List<Term> terms)
    {
        var end = at + 1;
        while (end < text.Length && (char.IsDigit(text[end]) || (text[end] is '.' or ',' or ':' && char.IsDigit(text[end - 1]) && end + 1 < text.Length && char.IsDigit(text[end + 1]))))
            end++;
        terms.Add(new(text[at..end].Replace('\u2212', '-'), TermKind.Number));
        return end - at;
    }

    private static int Word(string text, int at, List<Term> terms)
    {
        var end = at + 1;
        while (end < text.Length && !IsWide(text[end]) && text[end] is < FirstPlaceholder or > LastPlaceholder && (char.IsLetterOrDigit(text[end]) || char.IsSurrogate(text[end]) || (IsApostrophe(text[end]) && end + 2 < text.Length && char.IsLetter(text[end + 1]) && char.IsLetter(text[end + 2])) || IsOfNot(text, end)))
            end++;
        // Marks that belong to a name: C++, C#, a tablet+.
        while (end < text.Length && text[end] is '+' or '#' && (text[end] == text[end - 1] || char.IsLetterOrDigit(text[end - 1])) && !(end + 1 < text.Length && char.IsLetterOrDigit(text[end + 1])) | (end + 1 < text.Length && text[end + 1] == text[end]))
            end++;
        var word = text[at..end];
        var small = WordForms.Spelled(word.ToLowerInvariant().Replace('\u2019', '\''));
        // A lone capital letter is part of a name ("scanner A"), not an article, unless the text begins with it.
        var isName = (word.Length == 1 && char.IsUpper(word[0]) && terms.Count > 0 && word != "I") || IsName(text, word, small, terms);
        terms.Add(new(small, isName ? TermKind.Content : FunctionWords.KindOf(small), char.IsUpper(word[0])));
        return end - at;
    }

    /// <summary>Function words that are names when capitalized: the US, the IT department, in May, Will.</summary>
    private static bool IsName(string text, string word, string small, List<Term> terms)
    {
        if (word.Length > 1 && small is "it" or "us" or "who" or "may" && word.All(char.IsUpper))
            return text.Any(char.IsLower);
        return small is "may" or "will" && char.IsUpper(word[0]) && terms.Count > 0 && terms[^1].Kind is not (TermKind.Break or TermKind.Interrogative);
    }

    /// <summary>Whether an apostrophe is that of "isn't".</summary>
    private static bool IsOfNot(string text, int at) => IsApostrophe(text[at]) && text[at - 1] is 'n' or 'N' && at + 1 < text.Length && text[at + 1] is 't' or 'T' && (at + 2 == text.Length || !char.IsLetter(text[at + 2]));

    private static bool IsApostrophe(char c) => c is '\'' or '\u2019';

    private static bool IsSign(string text, int at) => at + 1 < text.Length && char.IsDigit(text[at + 1]) && (at == 0 || char.IsWhiteSpace(text[at - 1]));

    private static bool IsJoint(string text, int at) =>
        char.IsSymbol(text[at]) || text[at] is '%' or '&' or '#' or '@' or '*' || (text[at] is '-' or '/' or '\u2010' or '\u2011' or '.' && at > 0 && at + 1 < text.Length && char.IsLetterOrDigit(text[at - 1]) && char.IsLetterOrDigit(text[at + 1]));
}
