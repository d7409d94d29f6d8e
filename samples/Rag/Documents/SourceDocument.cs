namespace LocalLlm.Samples.Rag.Documents;

/// <param name="Name">The path in the documents folder, with slashes.</param>
/// <param name="ContentHash">SHA-256 of the file, in hexadecimal digits.</param>
/// <param name="Sections">In the order of the document; none of them is blank.</param>
internal sealed record SourceDocument(string Name, string ContentHash, IReadOnlyList<DocumentSection> Sections);

/// <param name="Heading">The headings above the section, outermost first; empty at the start of a document.</param>
/// <param name="Places">Pages of a PDF, lines of another file; null: unknown.</param>
/// <param name="Text">Its paragraphs, separated by blank lines.</param>
internal sealed record DocumentSection(string Heading, PlaceMap? Places, string Text)
{
    public const string HeadingSeparator = " › ";
}
