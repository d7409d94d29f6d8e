using System.Text.Json;
using Microsoft.Extensions.AI;

namespace LocalLlm.Samples.Rag.Questions;

/// <summary>The model writes questions and answers freely, in JSON that follows a schema.</summary>
internal sealed class WrittenQuestions(IChatClient client) : IQuestionWriter
{
    private const int TokensPerPair = 160;
    private const int TokensToThink = 1024;

    public string ModelName => client.GetService<ChatClientMetadata>()?.DefaultModelId ?? "";

    public async Task<IReadOnlyList<QuestionPair>> WriteAsync(string passage, int count, CancellationToken cancellationToken)
    {
        var prompt = $"""
                      Write at most {count} questions that the text below answers, as somebody would ask who has not read it: name what they are about, never "the text". Ask in the language of the text.
                      Answer each with words copied from the text, as few as possible.

                      Text:
                      {passage}
                      """;
        var options = new ChatOptions
        {
            Temperature = 0,
            MaxOutputTokens = TokensToThink + (count * TokensPerPair),
            Reasoning = new() { Effort = ReasoningEffort.Low },
            ResponseFormat = ChatResponseFormat.ForJsonSchema(Schema(count), "pairs"),
        };
        var response = await client.GetResponseAsync(prompt, options, cancellationToken);
        return Read(response.Text);
    }

    /// <summary>The pairs of a response; none if the response was cut off.</summary>
    internal static IReadOnlyList<QuestionPair> Read(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<Answer>(json, JsonSerializerOptions.Web)?.Pairs?.Where(pair => pair is { Question: not null, Answer: not null }).ToArray() ?? [];
        }
        catch (JsonException)
        {
            return [];
        }
    }

    private static JsonElement Schema(int count) => JsonElement.Parse(
        $$"""
        {
          "type": "object",
          "properties": {
            "pairs": {
              "type": "array",
              "maxItems": {{count}},
              "items": {
                "type": "object",
                "properties": { "question": { "type": "string", "maxLength": 300 }, "answer": { "type": "string", "maxLength": 300 } },
                "required": ["question", "answer"]
              }
            }
          },
          "required": ["pairs"]
        }
        """);

    private sealed record Answer(IReadOnlyList<QuestionPair>? Pairs);
}
