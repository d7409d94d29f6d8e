namespace LocalLlm.Samples.Rag.Chunking;

/// <param name="Document">The document's name.</param>
/// <param name="Ordinal">Its place in the document, from 0.</param>
/// <param name="Heading">The headings above it.</param>
/// <param name="Page">The page of a PDF on which its first character stands.</param>
/// <param name="Text">Its sentences.</param>
internal sealed record Passage(string Document, int Ordinal, string Heading, int? Page, string Text)
{
    public bool IsHeadingEmbedded { get; init; }

    /// <summary>The document, the page and the headings, as a reader would look it up.</summary>
    public string Source => string.Join(" · ", new[] { Document, Page is null ? "" : $"page {Page}", Heading }.Where(part => part.Length > 0));

    /// <summary>What the embedding model reads: the headings say what the sentences are about.</summary>
    public string TextToEmbed() => TextToEmbed(IsHeadingEmbedded ? Heading : "", Text);

    public static string TextToEmbed(string heading, string text) => heading.Length == 0 ? text : $"{heading}\n{text}";
}
