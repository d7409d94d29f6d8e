using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Questions;

namespace LocalLlm.Samples.Rag.Search;

/// <param name="Passage">What was found.</param>
/// <param name="Scores">The best of its own scores and its questions'.</param>
/// <param name="Question">The question that gave them; null: the passage's own text.</param>
internal sealed record SearchHit(Passage Passage, Scores Scores, QuestionPair? Question);
