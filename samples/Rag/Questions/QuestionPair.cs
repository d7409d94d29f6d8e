namespace LocalLlm.Samples.Rag.Questions;

/// <summary>A question that a passage answers, with the answer in the passage's words.</summary>
internal sealed record QuestionPair(string Question, string Answer);
