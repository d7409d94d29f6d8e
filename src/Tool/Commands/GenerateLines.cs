using System.Globalization;
using LocalLlm.Tool.JsonLines;
using LocalLlm.Tool.Requests;

namespace LocalLlm.Tool.Commands;

/// <summary>Runs a file of requests: the engine runs all of them together, and results come out in order.</summary>
internal static class GenerateLines
{
    /// <summary>Loads the model and processes every line.</summary>
    public static async Task<int> RunAsync(EngineOptions options, LineFiles files, Terminal terminal, CancellationToken cancellationToken)
    {
        await using var engine = await EngineLoading.LoadAsync(options, terminal, cancellationToken);
        files.Truncate();
        var started = terminal.Time.GetTimestamp();
        var unread = new UnreadNames();
        var lines = new OrderedLines(files.Input, files.Output, (line, cancelled) => AnswerAsync(engine, line, unread, cancelled));
        var counts = await LineProgress.ShowAsync(terminal, written => lines.RunAsync(written, cancellationToken));
        await files.Output.FlushAsync(cancellationToken);

        await unread.TellAsync(terminal.ErrorText);
        var seconds = Math.Max(terminal.Time.GetElapsedTime(started).TotalSeconds, 1e-9);
        await terminal.ErrorText.WriteLineAsync(string.Create(
            CultureInfo.InvariantCulture,
            $"{counts.Lines} requests, {counts.Failed} failed; {counts.Tokens} tokens in {seconds:F2} s: {counts.Tokens / seconds:F1} tokens/s"));
        if (engine.IsAlive)
            return ExitCodes.Success;
        await terminal.ErrorText.WriteLineAsync("error: the engine has failed; the lines after that hold an error");
        return ExitCodes.Failure;
    }

    private static async Task<LineResult> AnswerAsync(
        LlmEngine engine, JsonLine line, UnreadNames unread, CancellationToken cancellationToken)
    {
        string? requestId = null;
        try
        {
            GenerationRequest request;
            using (var document = JsonLineParser.Parse(line))
            {
                requestId = RequestLine.RequestId(document.RootElement);
                var names = new List<string>();
                request = RequestLine.Read(document.RootElement, engine.CanEndThoughts, names);
                unread.Add(names);
            }

            return ResultLine.Of(await engine.CompleteAsync(request, cancellationToken), requestId);
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            return LineResult.Error(LineHandler.ToEngineException(failure), requestId);
        }
    }
}
