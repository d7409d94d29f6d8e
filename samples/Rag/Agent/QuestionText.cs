namespace LocalLlm.Samples.Rag.Agent;

/// <summary>Checks a question that a user asks.</summary>
internal static class QuestionText
{
    private const int MaxLength = 4000;

    /// <exception cref="RagException">The question is blank or too long.</exception>
    public static void Check(string? question)
    {
        if (string.IsNullOrWhiteSpace(question))
            throw new RagException("the question is empty; ask something");
        if (question.Length > MaxLength)
            throw new RagException($"the question has {question.Length} characters; allowed: {MaxLength}");
    }
}
