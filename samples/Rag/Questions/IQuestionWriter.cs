namespace LocalLlm.Samples.Rag.Questions;

/// <summary>A chat model that writes questions; the caller checks them.</summary>
internal interface IQuestionWriter
{
    string ModelName { get; }

    /// <summary>At most <paramref name="count"/> pairs about a passage.</summary>
    Task<IReadOnlyList<QuestionPair>> WriteAsync(string passage, int count, CancellationToken cancellationToken);
}
