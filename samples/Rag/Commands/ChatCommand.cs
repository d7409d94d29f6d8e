using System.CommandLine;
using LocalLlm.Samples.Rag.Agent;
using Microsoft.Extensions.DependencyInjection;
using Spectre.Console;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary><c>rag chat</c>: one question after the other, typed or from a redirected file.</summary>
internal static class ChatCommand
{
    private const string Help = """
        A question may refer to the ones before it ("And its color?").
          /clear  forgets the conversation
          /help   shows this
          /exit   ends the chat, as do /quit, both without the slash, and an empty line
        """;

    public static Command Create(CommonOptions common, RagTerminal terminal)
    {
        var command = new Command("chat", "Answers questions from the documents, one after the other; /help shows what else can be typed, an empty line ends it.");
        command.SetAction((result, cancellationToken) => RunAsync(common, result, terminal, cancellationToken));
        return command;
    }

    public static async Task<int> RunAsync(CommonOptions common, ParseResult result, RagTerminal terminal, CancellationToken cancellationToken)
    {
        using var host = await RagHost.StartAnsweringAsync(common.Configuration(result), terminal, cancellationToken);
        var agent = host.Services.GetRequiredService<DocumentAgent>();
        var conversation = new Conversation();
        while (await ReadAsync(terminal, cancellationToken) is { Length: > 0 } line)
        {
            if (string.IsNullOrWhiteSpace(line))
                continue;
            if (CommandOf(line) is { } command)
            {
                if (command is "/exit" or "/quit")
                    break;
                await terminal.Output.WriteLineAsync(Obey(command, conversation));
                continue;
            }

            try
            {
                if (!terminal.IsInteractive)
                    await terminal.Output.WriteLineAsync($"\nQuestion: {PlainLine.Of(line)}");
                QuestionText.Check(line);
                await new AnswerPrinter(terminal).PrintAsync(agent.AskAsync(line, conversation, cancellationToken));
            }
            catch (Exception failure) when (failure is RagException or EngineException)
            {
                await terminal.Error.WriteLineAsync($"error: {failure.Message}");
            }
        }

        return 0;
    }

    /// <summary>The command of a line: a slash (also the wide one of a Chinese keyboard) and a word, or "exit" or "quit" alone. Null: the
    /// line is a question, which may begin with a path.</summary>
    internal static string? CommandOf(string line)
    {
        var text = line.Trim();
        if (text.TrimEnd('.', '!', '。').ToLowerInvariant() is ("exit" or "quit") and var bare)
            return "/" + bare;
        var word = text.Replace('／', '/').Split(' ', '\t', '\u3000')[0];
        return word.Length > 0 && word[0] == '/' && !word[1..].Contains('/', StringComparison.Ordinal) ? word.ToLowerInvariant() : null;
    }

    private static string Obey(string command, Conversation conversation)
    {
        switch (command)
        {
            case "/clear":
                conversation.Clear();
                return "The conversation is forgotten.";
            case "/help":
                return Help;
            default:
                return $"'{PlainLine.Of(command)}' is no command; allowed: /clear, /help, /exit, /quit. A question begins without a slash.";
        }
    }

    private static async Task<string?> ReadAsync(RagTerminal terminal, CancellationToken cancellationToken)
    {
        if (terminal.IsInteractive)
            terminal.Console.Markup("\n[bold]Question:[/] ");
        return await terminal.Input.ReadLineAsync(cancellationToken);
    }
}
