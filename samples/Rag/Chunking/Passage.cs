using LocalLlm.Samples.Rag.Documents;

namespace LocalLlm.Samples.Rag.Chunking;

/// <param name="Document">The document's name.</param>
/// <param name="Ordinal">Its place in the document, from 0.</param>
/// <param name="Heading">The headings above it.</param>
/// <param name="Places">The pages or lines that its characters stand on; null: unknown.</param>
/// <param name="Text">Its sentences.</param>
internal sealed record Passage(string Document, int Ordinal, string Heading, PlaceMap? Places, string Text)
{
    public bool IsHeadingEmbedded { get; init; }

    /// <summary>The document, the pages or lines, and the headings, as a reader would look it up.</summary>
    public string Source => SourceOf(0, Text.Length);

    /// <summary>The same for a part of the text: where that part stands.</summary>
    public string SourceOf(int start, int length) => string.Join(" · ", new[] { Document, Places?.Described(start, length) ?? "", Heading }.Where(part => part.Length > 0));

    /// <summary>What the embedding model reads: the headings say what the sentences are about.</summary>
    public string TextToEmbed() => TextToEmbed(IsHeadingEmbedded ? Heading : "", Text);

    public static string TextToEmbed(string heading, string text) => heading.Length == 0 ? text : $"{heading}\n{text}";
}
