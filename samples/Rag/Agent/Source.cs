using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>What an answer may cite.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Hit">The passage, and why it was found.</param>
/// <param name="Text">What the model was shown: the passage, or one of its sentences.</param>
internal sealed record Source(int Number, SearchHit Hit, string Text);
