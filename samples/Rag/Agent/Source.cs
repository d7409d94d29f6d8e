using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>A numbered text that an answer may cite.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Part">What the model was shown: a passage, or one of its sentences.</param>
internal sealed record Source(int Number, PassagePart Part)
{
    public SearchHit Hit => Part.Hit;

    public string Text => Part.Text;

    /// <summary>The document, the pages or lines of exactly this text, and its headings.</summary>
    public string Place => Hit.Passage.SourceOf(Part.Start, Text.Length);
}
