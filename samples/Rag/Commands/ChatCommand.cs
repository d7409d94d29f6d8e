using System.CommandLine;
using LocalLlm.Samples.Rag.Agent;
using Microsoft.Extensions.DependencyInjection;
using Spectre.Console;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary><c>rag chat</c>: one question after the other, typed or from a redirected file.</summary>
internal static class ChatCommand
{
    public static Command Create(CommonOptions common, RagTerminal terminal)
    {
        var command = new Command("chat", "Answers questions from the documents, one after the other; an empty line ends it.");
        command.SetAction((result, cancellationToken) => RunAsync(common, result, terminal, cancellationToken));
        return command;
    }

    public static async Task<int> RunAsync(CommonOptions common, ParseResult result, RagTerminal terminal, CancellationToken cancellationToken)
    {
        using var host = await RagHost.StartAsync(common.Configuration(result), withChatModel: true, cancellationToken);
        await RagHost.IngestAsync(host.Services, terminal, cancellationToken);
        var agent = host.Services.GetRequiredService<DocumentAgent>();
        var conversation = new Conversation();
        while (await ReadAsync(terminal, cancellationToken) is { Length: > 0 } question)
        {
            try
            {
                QuestionText.Check(question);
                await new AnswerPrinter(terminal).PrintAsync(agent.AskAsync(question, conversation, cancellationToken));
            }
            catch (Exception failure) when (failure is RagException or EngineException)
            {
                await terminal.Error.WriteLineAsync($"error: {failure.Message}");
            }
        }

        return 0;
    }

    private static async Task<string?> ReadAsync(RagTerminal terminal, CancellationToken cancellationToken)
    {
        if (terminal.IsInteractive)
            terminal.Console.Markup("\n[bold]Question:[/] ");
        var line = await terminal.Input.ReadLineAsync(cancellationToken);
        if (!terminal.IsInteractive && line is { Length: > 0 })
            await terminal.Output.WriteLineAsync($"\nQuestion: {PlainLine.Of(line)}");
        return line;
    }
}
