using LocalLlm.Samples.Rag.Documents;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>What headings add to the sentences below them.</summary>
internal static class HeadingAgreement
{
    /// <summary>Whether headings have the words that a sentence lacks, each heading as a whole: "Falcon scanner" names the scanner, "Falcon
    /// scanner case" does not.</summary>
    public static bool Has(string heading, IReadOnlyList<AskedWord> missing, AskedQuestion question)
    {
        var found = new HashSet<AskedWord>();
        // From the innermost heading outwards: text under "Falcon scanner › Accessories" is not about the scanner itself.
        foreach (var part in heading.Split(DocumentSection.HeadingSeparator).Reverse())
        {
            var terms = TermReader.Read(part);
            var matches = Matches.Of(question.Words, terms);
            // Other words, or a number ("Hoist 1"), make the heading the name of something else. Exceptions: the section's own number in
            // front, and a person's title.
            if (!matches.HasAny || Enumerable.Range(0, terms.Count).Where(matches.IsForeign).Any(at => !(at == 0 && terms[at].Kind == TermKind.Number) && !FunctionWords.IsTitle(terms, at)))
                break;
            found.UnionWith(question.Words.Except(matches.Missing));
        }

        return missing.All(found.Contains);
    }
}
