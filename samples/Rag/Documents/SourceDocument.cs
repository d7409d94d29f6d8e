namespace LocalLlm.Samples.Rag.Documents;

/// <param name="Name">The path in the documents folder, with slashes.</param>
/// <param name="ContentHash">SHA-256 of the file, in hexadecimal digits.</param>
/// <param name="Sections">In the order of the document; none is blank.</param>
internal sealed record SourceDocument(string Name, string ContentHash, IReadOnlyList<DocumentSection> Sections);

/// <param name="Heading">The headings above it, outermost first; empty at the start of a document.</param>
/// <param name="Page">The page of a PDF on which it begins.</param>
/// <param name="Text">Paragraphs, with a blank line between two.</param>
internal sealed record DocumentSection(string Heading, int? Page, string Text)
{
    public const string HeadingSeparator = " › ";

    /// <summary>Where the pages of a PDF begin in the text, in order.</summary>
    public IReadOnlyList<PageStart> PageStarts { get; init; } = [];

    /// <summary>The page on which a character of the text stands.</summary>
    public int? PageAt(int offset) => PageStarts.LastOrDefault(start => start.Offset <= offset)?.Page ?? Page;
}

internal sealed record PageStart(int Offset, int Page);
