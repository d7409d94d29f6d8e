using System.Globalization;
using System.Text.Json;
using LocalLlm.Tool.JsonLines;
using LocalLlm.Tool.Requests;

namespace LocalLlm.Tool.Commands;

/// <summary>Embeds a file of texts: the engine runs all of them together, and results come out in order.</summary>
/// <param name="engine">The engine.</param>
/// <param name="kinds">The outputs wanted for every text.</param>
/// <param name="truncate">Whether texts that are too long are truncated.</param>
internal sealed class EmbedLines(EmbeddingEngine engine, EmbeddingKinds kinds, bool truncate)
{
    // A number takes its JSON text and its float until it is written.
    private const long BytesPerNumber = 16;

    private readonly UnreadNames _unread = new();

    private static readonly (EmbeddingKinds Kind, string Option)[] Options = [(EmbeddingKinds.Sparse, "--sparse"), (EmbeddingKinds.MultiVector, "--colbert")];

    /// <summary>Loads the model and embeds every line.</summary>
    /// <exception cref="UsageException">The model does not produce a requested output.</exception>
    public static async Task<int> RunAsync(EngineOptions options, EmbeddingKinds kinds, bool truncate, LineFiles files, Terminal terminal, CancellationToken cancellationToken)
    {
        options = await ModelDownload.ResolveAsync(options, terminal, cancellationToken);
        var made = EmbeddingEngine.KindsIn(options.ModelPath);
        string[] missing = [.. Options.Where(option => kinds.HasFlag(option.Kind) && !made.HasFlag(option.Kind)).Select(option => option.Option)];
        if (missing.Length > 0)
            throw new UsageException($"{string.Join(", ", missing)}: '{LlmEngine.NameOf(options)}' has no weights for that (sparse_linear.pt, colbert_linear.pt); leave it out");
        await using var engine = await EngineLoading.LoadEmbeddingsAsync(options, terminal, cancellationToken);
        files.Truncate();
        var started = terminal.Time.GetTimestamp();
        var embed = new EmbedLines(engine, kinds, truncate);
        var lines = new OrderedLines(files.Input, files.Output, (line, cancelled) => Task.Run(() => embed.AnswerAsync(line, cancelled), cancelled), embed.BytesOf);
        var counts = await LineProgress.ShowAsync(terminal, written => lines.RunAsync(written, cancellationToken));
        await files.Output.FlushAsync(cancellationToken);

        await embed._unread.TellAsync(terminal.ErrorText);
        var seconds = Math.Max(terminal.Time.GetElapsedTime(started).TotalSeconds, 1e-9);
        await terminal.ErrorText.WriteLineAsync(string.Create(
            CultureInfo.InvariantCulture,
            $"{counts.Lines} texts, {counts.Failed} failed; {counts.Tokens} tokens in {seconds:F2} s: {counts.Tokens / seconds:F1} tokens/s"));
        if (engine.IsAlive)
            return ExitCodes.Success;
        await terminal.ErrorText.WriteLineAsync("error: the engine has failed; the lines after that hold an error");
        return ExitCodes.Failure;
    }

    private async Task<LineResult> AnswerAsync(JsonLine line, CancellationToken cancellationToken)
    {
        string? id = null;
        try
        {
            string text;
            using (var document = JsonLineParser.Parse(line, takesText: true))
            {
                var names = new List<string>();
                text = TextLine.Read(document.RootElement, names, out id);
                _unread.Add(names);
            }

            var made = await engine.EmbedAsync(text, kinds, truncate, "text", cancellationToken);
            return LineResult.Object(
                writer =>
                {
                    WriteId(writer, id);
                    Write(writer, made);
                },
                tokens: made.TokenCount);
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            return LineResult.Error(AtLine(line.Number, LineHandler.ToEngineException(failure)), writer => WriteId(writer, id));
        }
    }

    private static void WriteId(Utf8JsonWriter writer, string? id)
    {
        if (id is null)
            return;
        writer.WritePropertyName("id");
        // As given: a number keeps its digits.
        writer.WriteRawValue(id);
    }

    private static void Write(Utf8JsonWriter writer, TextEmbedding made)
    {
        if (made.Dense is { } dense)
        {
            writer.WritePropertyName("dense");
            WriteVector(writer, dense);
        }

        if (made.Sparse is { } sparse)
        {
            writer.WriteStartObject("sparse");
            foreach (var (token, weight) in sparse)
                writer.WriteNumber(token.ToString(CultureInfo.InvariantCulture), weight);
            writer.WriteEndObject();
        }

        if (made.MultiVector is { } vectors)
        {
            writer.WriteStartArray("colbert");
            foreach (var vector in vectors)
                WriteVector(writer, vector);
            writer.WriteEndArray();
        }

        writer.WriteNumber("tokens", made.TokenCount);
    }

    private static void WriteVector(Utf8JsonWriter writer, IReadOnlyList<float> vector)
    {
        writer.WriteStartArray();
        foreach (var value in vector)
            writer.WriteNumberValue(value);
        writer.WriteEndArray();
    }

    private static EngineException AtLine(long number, EngineException failure) => failure.Message.StartsWith($"line {number} ", StringComparison.Ordinal)
        ? failure
        : new(failure.Kind, $"line {number}: {failure.Message}", failure.Parameter, failure);

    // A text has at most one token per byte, plus two special tokens around it.
    private long BytesOf(JsonLine line)
    {
        var tokens = Math.Min(line.Utf8.Length + 2L, engine.MaxModelLen);
        var numbers = (kinds.HasFlag(EmbeddingKinds.Dense) ? engine.Dimensions : 0) + (kinds.HasFlag(EmbeddingKinds.Sparse) ? 2 * tokens : 0) + (kinds.HasFlag(EmbeddingKinds.MultiVector) ? tokens * engine.Dimensions : 0);
        return line.Utf8.Length + (BytesPerNumber * numbers);
    }
}
