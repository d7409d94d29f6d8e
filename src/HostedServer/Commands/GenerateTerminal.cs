using LocalLlm.Server.Requests;

namespace LocalLlm.Server.Commands;

/// <summary>One prompt whose answer streams to the terminal.</summary>
internal static class GenerateTerminal
{
    /// <summary>Loads the model, streams, and ends with the speed on standard error.</summary>
    public static async Task<int> RunAsync(
        EngineOptions options,
        GenerationRequest request,
        Terminal terminal,
        CancellationToken cancellationToken)
    {
        await using var engine = await EngineLoading.LoadAsync(options, terminal, cancellationToken);
        var answer = new AnswerStream(terminal);
        await answer.ShowAsync(engine, request, cancellationToken);
        await terminal.ErrorText.WriteLineAsync(answer.Speed.Describe());
        return ExitCodes.Success;
    }
}
