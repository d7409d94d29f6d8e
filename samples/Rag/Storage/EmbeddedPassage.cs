using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Questions;
using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Storage;

internal sealed record EmbeddedPassage(Passage Passage, TextVectors Vectors, IReadOnlyList<EmbeddedQuestion> Questions);

internal sealed record EmbeddedQuestion(QuestionPair Pair, TextVectors Vectors);
