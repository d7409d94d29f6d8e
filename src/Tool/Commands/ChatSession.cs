using LocalLlm.Tool.Requests;
using LocalLlm.Templating;

namespace LocalLlm.Tool.Commands;

/// <summary>
/// The turns of one chat. Each line of input is a message or a command. A turn that fails is removed, and the chat can continue.
/// Prompts, greetings and speeds are shown only if a person is at the terminal.
/// </summary>
internal sealed class ChatSession(LlmEngine engine, Terminal terminal, SamplingParams sampling)
{
    private const string Help = "/exit ends the chat, /reset forgets it, /system TEXT sets the system message and forgets the chat";
    private readonly List<ChatMessage> _turns = [];

    /// <summary>The system message, or null.</summary>
    public string? SystemPrompt { get; set; }

    /// <summary>Runs until <c>/exit</c> or the end of the input.</summary>
    /// <returns>Success, or failure if the input was redirected and a turn failed.</returns>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        var failed = false;
        await ShowAsync($"{engine.ModelName}. {Help}.");
        while (await ReadAsync(cancellationToken) is { } line)
        {
            if (line.StartsWith('/'))
            {
                if (!await ObeyAsync(line))
                    break;
            }
            else if (!string.IsNullOrWhiteSpace(line))
            {
                failed |= !await TurnAsync(line, cancellationToken);
                if (!engine.IsAlive)
                    return ExitCodes.Failure;
            }
        }

        return failed && !terminal.IsInteractive ? ExitCodes.Failure : ExitCodes.Success;
    }

    private async Task<string?> ReadAsync(CancellationToken cancellationToken)
    {
        if (terminal.IsInteractive)
        {
            await terminal.Text.WriteAsync("\n> ");
            await terminal.Text.FlushAsync(cancellationToken);
        }

        // A terminal's read blocks its thread and cannot be cancelled; waiting for it can.
        return await Task.Run(terminal.Input.ReadLine, CancellationToken.None).WaitAsync(cancellationToken);
    }

    /// <returns>False: the chat has ended.</returns>
    private async Task<bool> ObeyAsync(string line)
    {
        var parts = line.Trim().Split(' ', 2, StringSplitOptions.TrimEntries);
        switch (parts)
        {
            case ["/exit" or "/quit", ..]:
                return false;
            case ["/reset", ..]:
                _turns.Clear();
                await ShowAsync("The conversation is cleared.");
                return true;
            case ["/system", ..]:
                SystemPrompt = parts is [_, { Length: > 0 } text] ? text : null;
                _turns.Clear();
                await ShowAsync(SystemPrompt is null ? "No system message." : "The system message is set.");
                return true;
            case ["/help", ..]:
                await terminal.ErrorText.WriteLineAsync(Help);
                return true;
            default:
                await terminal.ErrorText.WriteLineAsync($"error: {parts[0]} is not a command; {Help}");
                return true;
        }
    }

    private async Task<bool> TurnAsync(string line, CancellationToken cancellationToken)
    {
        _turns.Add(new("user", line));
        var response = new ResponseStream(terminal);
        try
        {
            IEnumerable<ChatMessage> system = SystemPrompt is { } text ? [new("system", text)] : [];
            await response.ShowAsync(engine, GenerationRequest.FromChat(system.Concat(_turns), sampling), cancellationToken);
        }
        catch (EngineException failure)
        {
            _turns.RemoveAt(_turns.Count - 1);
            await terminal.ErrorText.WriteLineAsync("error: " + failure.Message.ReplaceLineEndings(" "));
            return false;
        }

        // Templates drop earlier thoughts; one that does not would send them as text.
        _turns.Add(new("assistant", response.Text));
        await ShowAsync(response.Speed.Describe());
        return true;
    }

    private async Task ShowAsync(string remark)
    {
        if (terminal.IsInteractive)
            await terminal.ErrorText.WriteLineAsync(remark);
    }
}
