using LocalLlm.Samples.Rag.Documents;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>What headings say of the sentences below them.</summary>
internal static class HeadingAgreement
{
    /// <summary>Whether the headings have what a sentence lacks, each as a heading of its own: "Falcon scanner" names the scanner, "Falcon
    /// scanner case" does not.</summary>
    public static bool Has(string heading, IReadOnlyList<AskedWord> missing, AskedQuestion question)
    {
        var found = new HashSet<AskedWord>();
        // From the innermost outwards: what stands under "Accessories" under "Falcon scanner" is not about the scanner itself.
        foreach (var part in heading.Split(DocumentSection.HeadingSeparator).Reverse())
        {
            var terms = TermReader.Read(part);
            var matches = Matches.Of(question.Words, terms);
            // Other words in it make it the name of something else, as a number does ("Hoist 1"), but for the section's own in front and a
            // person's title.
            if (!matches.HasAny || Enumerable.Range(0, terms.Count).Where(matches.IsForeign).Any(at => !(at == 0 && terms[at].Kind == TermKind.Number) && !FunctionWords.IsTitle(terms, at)))
                break;
            found.UnionWith(question.Words.Except(matches.Missing));
        }

        return missing.All(found.Contains);
    }
}
