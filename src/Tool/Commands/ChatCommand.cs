using System.CommandLine;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Commands;

/// <summary><c>localllm chat</c>: a multi-turn chat in the terminal, or with the lines of a redirected file.</summary>
internal static class ChatCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var engineArguments = new EngineArguments();
        var sampling = new SamplingArguments();
        var model = Options.Model();
        var system = Options.Text("--system-prompt", "The system message.", "TEXT");
        var command = new Command("chat", "Chats with the model; what it thinks is dimmed.") { model, system };
        sampling.AddTo(command);
        engineArguments.AddTo(command);
        VllmOptions.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            var options = engineArguments.Build(result, result.GetValue(model));
            if (options.SkipTokenizerInit)
                throw new UsageException("a chat needs the tokenizer; remove --skip-tokenizer-init");
            var asked = sampling.Build(result, defaultMaxTokens: null);
            await using var engine = await EngineLoading.LoadAsync(options, terminal, cancellationToken);
            var session = new ChatSession(engine, terminal, asked)
            {
                SystemPrompt = result.GetValue(system),
            };
            return await session.RunAsync(cancellationToken);
        });
        return command;
    }
}
