using System.Text;
using LocalLlm.Templating;

namespace LocalLlm.Server.Requests;

/// <summary>Writes an answer to the terminal while it is generated; what the model thinks is dimmed where colours are shown.</summary>
/// <param name="terminal">Where to.</param>
internal sealed class AnswerStream(Terminal terminal)
{
    private readonly ThinkingSplitter _splitter = new();
    private readonly StringBuilder _text = new();
    private bool _dimmed;

    /// <summary>The whole text, thinking included.</summary>
    public string Text => _text.ToString();

    /// <summary>How fast it came, once it is whole.</summary>
    public AnswerSpeed Speed { get; private set; }

    private bool ShowsColours => terminal.Output.Profile.Capabilities.Ansi;

    /// <summary>Runs the request to its end.</summary>
    /// <exception cref="EngineException">It is refused or fails.</exception>
    public async Task ShowAsync(LlmEngine engine, GenerationRequest request, CancellationToken cancellationToken)
    {
        var started = terminal.Time.GetTimestamp();
        var (first, tokens, prompt) = (TimeSpan.Zero, 0, 0);
        _splitter.IsThinking = request.Chat is { } chat && PromptOpensThinking(engine, chat);
        try
        {
            await foreach (var output in engine.GenerateAsync(request, cancellationToken))
            {
                if (tokens == 0)
                    first = terminal.Time.GetElapsedTime(started);
                tokens += output.TokenIds.Count;
                prompt = output.PromptTokenIds.Count;
                Write(output.Text);
                if (output.FinishReason == FinishReason.Error)
                    throw new EngineException(EngineErrorKind.GenerationFailed, output.Error!);
            }
        }
        finally
        {
            foreach (var part in _splitter.Flush())
                Write(part);
            Dim(false);
            await terminal.Text.WriteLineAsync();
            await terminal.Text.FlushAsync(CancellationToken.None);
        }

        Speed = new(prompt, tokens, first, terminal.Time.GetElapsedTime(started));
    }

    // R1's templates end with an open <think>, so that the answer begins inside of it.
    private static bool PromptOpensThinking(LlmEngine engine, ChatTemplateRequest chat) =>
        engine.ChatTemplate is { } template
        && template.Render(chat).Text.AsSpan().TrimEnd().EndsWith(ThinkingSplitter.Open, StringComparison.Ordinal);

    private void Write(string text)
    {
        _text.Append(text);
        foreach (var part in _splitter.Push(text))
            Write(part);
        terminal.Text.Flush();
    }

    private void Write(ThinkingSplitter.Part part)
    {
        Dim(part.IsThinking);
        terminal.Text.Write(ShowsColours ? Printable(part.Text) : part.Text);
    }

    private void Dim(bool on)
    {
        if (on != _dimmed && ShowsColours)
            terminal.Text.Write(on ? "\e[2m" : "\e[0m");
        _dimmed = on;
    }

    // A model must not move the cursor or set the title of somebody's terminal.
    private static string Printable(string text) =>
        text.Any(IsControl) ? string.Create(text.Length, text, (span, source) =>
        {
            for (var i = 0; i < source.Length; i++)
                span[i] = IsControl(source[i]) ? '\uFFFD' : source[i];
        }) : text;

    private static bool IsControl(char character) => char.IsControl(character) && character is not ('\n' or '\t');
}
