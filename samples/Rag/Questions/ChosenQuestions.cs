using System.Text.RegularExpressions;
using LocalLlm.Extensions.AI;
using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Questions;

/// <summary>
/// For models that are too small to write questions. From a sentence such as "The range of the Orion server is 129 km." the model chooses
/// the words to ask for, so every question is "What is …?" with words from before the verb. Then the model is asked that question, and its
/// answer becomes the pair's. A sentence without such a verb, or in another language, gets no question.
/// </summary>
internal sealed partial class ChosenQuestions(IChatClient client, IOptions<RagOptions> options) : IQuestionWriter
{
    private const int LongestAnswer = 200;

    public string ModelName => client.GetService<ChatClientMetadata>()?.DefaultModelId ?? "";

    public async Task<IReadOnlyList<QuestionPair>> WriteAsync(string passage, int count, CancellationToken cancellationToken)
    {
        var sentences = SentenceSplitter.Split(passage).Select(sentence => passage[sentence].Trim()).Where(sentence => Choices(sentence).Count > 0).Take(count).ToArray();
        return await Task.WhenAll(sentences.Select((sentence, index) => AskAsync(sentence, sentences[(index + 1) % sentences.Length], cancellationToken)));
    }

    /// <summary>
    /// Questions for the last two or more words before the verb: for "The range of the Orion server is 129 km." from "the range of the
    /// Orion server" to "Orion server".
    /// </summary>
    internal static IReadOnlyList<string> Choices(string sentence)
    {
        var subject = Verb().Match(sentence) is { Success: true } verb ? sentence[..verb.Index] : "";
        var words = subject.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length > 0 && words[0] == "The")
            words[0] = "the";
        return [.. Enumerable.Range(0, Math.Max(0, words.Length - 1)).Select(start => $"What is {string.Join(' ', words[start..])}?")];
    }

    private async Task<QuestionPair> AskAsync(string sentence, string other, CancellationToken cancellationToken)
    {
        // The prompt already has the sentence that the choices come from.
        var choice = new LocalLlmRequestOptions { StructuredOutputs = new() { Choice = Choices(sentence) }, DescribeStructuredOutputs = false };
        var question = await client.GetResponseAsync(Prompt("What is it?", sentence), new() { Temperature = 0, RawRepresentationFactory = _ => choice }, cancellationToken);
        // A second sentence shows whether the question distinguishes the two.
        var answer = await client.GetResponseAsync(Prompt(question.Text, sentence, other), new() { Temperature = 0, MaxOutputTokens = LongestAnswer }, cancellationToken);
        return new(question.Text, answer.Text.Trim());
    }

    private string Prompt(string question, params IEnumerable<string> sentences) =>
        SearchFirst.PromptOf(options.Value.Answer.Prompt, string.Join('\n', sentences.Distinct().Select((sentence, index) => $"[{index + 1}] {sentence}")), question);

    [GeneratedRegex(@"\s(is|are|was|were)\s")]
    private static partial Regex Verb();
}
