using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>Rewrites a question of a chat so that it stands alone and a search finds what it means: "And its color?" becomes "What is the
/// color of the Falcon scanner?".</summary>
internal sealed class FollowUp(IChatClient client, SourceFinder finder, IOptions<RagOptions> options)
{
    private const int TurnsRead = 4;
    private const int TokensToThink = 512;
    private const int TokensOfQuestion = 128;
    private readonly AnswerOptions _options = options.Value.Answer;

    /// <summary>The question as it is searched for and answered.</summary>
    /// <param name="question">As it was typed.</param>
    /// <param name="conversation">The turns before it; null or empty: the question stays as it is.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public async Task<string> StandaloneAsync(string question, Conversation? conversation, CancellationToken cancellationToken)
    {
        if (conversation is not { Turns.Count: > 0 } || _options.FollowUps == FollowUps.AsTyped)
            return question;
        if (_options.FollowUps == FollowUps.Rewritten && await RewrittenAsync(question, conversation.Turns, cancellationToken) is { } rewritten)
            return rewritten;
        // A turn without a topic ("Thanks") does not change the topic.
        var last = conversation.Turns.LastOrDefault(turn => CarriedQuestion.Topics(turn.Question).Count > 0);
        if (last is null)
            return question;
        var readings = CarriedQuestion.Readings(last.Question, question);
        // The documents decide what a short question means. If they say nothing, a question that may stand alone stays as it is.
        foreach (var reading in readings.Count > 1 ? readings : [])
        {
            if ((await finder.FindAsync(reading, cancellationToken)).Shown.Count > 0)
                return reading;
        }

        return readings.Count > 1 && readings.Contains(question) && !CarriedQuestion.Points(question) ? question : readings[0];
    }

    /// <summary>The model's wording; null: it gave no usable one.</summary>
    private async Task<string?> RewrittenAsync(string question, IReadOnlyList<Turn> turns, CancellationToken cancellationToken)
    {
        var prompt = $"""
                      Rewrite the last question so that it can be understood without the conversation: put in the names of what it refers to. If it can be already, repeat it unchanged. Keep its language. Do not answer it; write the question only.

                      {string.Join('\n', turns.TakeLast(TurnsRead).Select(turn => $"User: {PlainLine.Of(turn.Question)}\nAssistant: {PlainLine.Of(turn.Answer)}"))}
                      User: {PlainLine.Of(question)}
                      """;
        var chat = new ChatOptions { Temperature = 0, MaxOutputTokens = TokensToThink + TokensOfQuestion, Reasoning = new() { Effort = ReasoningEffort.Low } };
        var said = (await client.GetResponseAsync(prompt, chat, cancellationToken)).Text.Trim();
        return said.Length is > 0 and <= 500 && !said.Contains('\n') ? said : null;
    }
}
