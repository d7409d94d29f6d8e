using System.Text;
using LocalLlm.Parsing;

namespace LocalLlm.Tool.Requests;

/// <summary>
/// Writes a response to the terminal during generation, as the model wrote it. If colours are shown, thoughts are dimmed.
/// </summary>
/// <param name="terminal">The terminal to write to.</param>
internal sealed class ResponseStream(Terminal terminal)
{
    private readonly StringBuilder _text = new();
    private bool _dimmed;

    /// <summary>The text, without the thought.</summary>
    public string Text => _text.ToString();

    /// <summary>The speed of the response, once it is complete.</summary>
    public ResponseSpeed Speed { get; private set; }

    private bool ShowsColours => terminal.Output.Profile.Capabilities.Ansi;

    /// <summary>Runs the request to its end.</summary>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public async Task ShowAsync(LlmEngine engine, GenerationRequest request, CancellationToken cancellationToken)
    {
        var started = terminal.Time.GetTimestamp();
        var (first, prompt) = (TimeSpan.Zero, 0);
        var reader = engine.CreateResponseReader(request, isVerbatim: true);
        try
        {
            await foreach (var output in engine.GenerateAsync(request, cancellationToken))
            {
                if (reader.TokenCount == 0)
                    first = terminal.Time.GetElapsedTime(started);
                prompt = output.PromptTokenIds.Count;
                foreach (var part in reader.Append(output))
                    Write(part);
                terminal.Text.Flush();
            }
        }
        finally
        {
            Dim(false);
            await terminal.Text.WriteLineAsync();
            await terminal.Text.FlushAsync(CancellationToken.None);
        }

        Speed = new(prompt, reader.TokenCount, first, terminal.Time.GetElapsedTime(started));
    }

    private void Write(ResponsePart part)
    {
        var isThought = part.Kind == ResponsePartKind.Reasoning;
        if (!isThought)
            _text.Append(part.Value);
        Dim(isThought);
        terminal.Text.Write(ShowsColours ? Printable(part.Value) : part.Value);
    }

    private void Dim(bool on)
    {
        if (on != _dimmed && ShowsColours)
            terminal.Text.Write(on ? "\e[2m" : "\e[0m");
        _dimmed = on;
    }

    // A model must not move the cursor or set the title of the user's terminal.
    private static string Printable(string text) =>
        text.Any(IsControl) ? string.Create(text.Length, text, (span, source) =>
        {
            for (var i = 0; i < source.Length; i++)
                span[i] = IsControl(source[i]) ? '\uFFFD' : source[i];
        }) : text;

    private static bool IsControl(char character) => char.IsControl(character) && character is not ('\n' or '\t');
}
