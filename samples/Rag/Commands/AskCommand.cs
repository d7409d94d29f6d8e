using System.CommandLine;
using LocalLlm.Samples.Rag.Agent;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary><c>rag ask QUESTION</c>; without a command, two example questions about the shipped documents.</summary>
internal static class AskCommand
{
    // The shipped documents answer the first one, and not the second.
    private static readonly string[] s_examples = ["What is the power of the Ember server?", "What is the speed of the Harbor server?"];

    public static Command Create(CommonOptions common, RagTerminal terminal)
    {
        var question = new Argument<string>("QUESTION") { Description = "The question." };
        var command = new Command("ask", "Answers one question from the documents.") { question };
        command.SetAction((result, cancellationToken) => RunAsync(common, result, terminal, [result.GetRequiredValue(question)], cancellationToken));
        return command;
    }

    public static Task<int> RunExamplesAsync(CommonOptions common, ParseResult result, RagTerminal terminal, CancellationToken cancellationToken) =>
        RunAsync(common, result, terminal, s_examples, cancellationToken);

    private static async Task<int> RunAsync(CommonOptions common, ParseResult result, RagTerminal terminal, IReadOnlyList<string> questions, CancellationToken cancellationToken)
    {
        foreach (var question in questions)
            QuestionText.Check(question);
        var configuration = common.Configuration(result);
        using var host = await RagHost.StartAnsweringAsync(configuration, terminal, cancellationToken);
        var agent = host.Services.GetRequiredService<DocumentAgent>();
        foreach (var question in questions)
        {
            await terminal.Output.WriteLineAsync($"\nQuestion: {PlainLine.Of(question)}");
            await new AnswerPrinter(terminal).PrintAsync(agent.AskAsync(question, cancellationToken: cancellationToken));
        }

        return 0;
    }
}
