namespace LocalLlm.Samples.Rag.Agent;

/// <summary>What may be asked.</summary>
internal static class QuestionText
{
    private const int MaxLength = 4000;

    /// <exception cref="RagException">It is blank or too long.</exception>
    public static void Check(string? question)
    {
        if (string.IsNullOrWhiteSpace(question))
            throw new RagException("the question is empty; ask something");
        if (question.Length > MaxLength)
            throw new RagException($"the question has {question.Length} characters; allowed: {MaxLength}");
    }
}
