using LocalLlm.Samples.Rag.Chunking;

namespace LocalLlm.Samples.Rag.Questions;

/// <summary>What a pair must satisfy before it may represent a passage: a model's words are not trusted.</summary>
internal static class QuestionChecks
{
    public const string NoQuestion = "is no question";
    public const string NotInPassage = "is answered by words that the passage does not have";
    public const string SaysNothingNew = "has an answer that says no more than the question";
    public const string Twice = "was asked already";
    public const string FitsTooLittle = "fits the sentence of its answer too little";
    public const string FindsAnother = "finds another passage first";

    private const int ShortestQuestion = 4;
    private const int LongestQuestion = 300;

    /// <summary>Why a pair is dropped; null: it is kept.</summary>
    /// <param name="pair">What the model wrote.</param>
    /// <param name="passage">The passage that the model read.</param>
    /// <param name="seen">The document's questions so far; the pair's question is added.</param>
    public static string? FaultOf(QuestionPair pair, string passage, ISet<string> seen)
    {
        var question = Wording.Normalized(pair.Question);
        if (pair.Question.Length > LongestQuestion || question.Length < ShortestQuestion || !(pair.Question.EndsWith('?') || pair.Question.EndsWith('？')))
            return NoQuestion;
        if (!Wording.Contains(passage, pair.Answer))
            return NotInPassage;
        if (Wording.Contains(pair.Question, pair.Answer))
            return SaysNothingNew;
        return seen.Add(question) ? null : Twice;
    }
}
