using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Questions;

namespace LocalLlm.Samples.Rag.Search;

/// <param name="Passage">What was found.</param>
/// <param name="Scores">The best of the passage's own scores and those of its questions.</param>
/// <param name="Question">The question that has these scores; null: the passage's own text has them.</param>
internal sealed record SearchHit(Passage Passage, Scores Scores, QuestionPair? Question);
