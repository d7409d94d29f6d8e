using LocalLlm.Samples.Rag.Documents;

namespace LocalLlm.Samples.Rag.Chunking;

/// <param name="Document">The document's name.</param>
/// <param name="Ordinal">The passage's place in the document, from 0.</param>
/// <param name="Heading">The headings above the passage.</param>
/// <param name="Places">The pages or lines of its characters; null: unknown.</param>
/// <param name="Text">Its sentences.</param>
internal sealed record Passage(string Document, int Ordinal, string Heading, PlaceMap? Places, string Text)
{
    public bool IsHeadingEmbedded { get; init; }

    /// <summary>The document, the pages or lines, and the headings, so that a reader can look the passage up.</summary>
    public string Source => SourceOf(0, Text.Length);

    /// <summary>The same for a part of the text, with that part's own pages or lines.</summary>
    public string SourceOf(int start, int length) => string.Join(" · ", new[] { Document, Places?.Described(start, length) ?? "", Heading }.Where(part => part.Length > 0));

    /// <summary>What the embedding model reads: the headings say what the sentences are about.</summary>
    public string TextToEmbed() => TextToEmbed(IsHeadingEmbedded ? Heading : "", Text);

    public static string TextToEmbed(string heading, string text) => heading.Length == 0 ? text : $"{heading}\n{text}";
}
