using LocalLlm.Tool.Requests;

namespace LocalLlm.Tool.Commands;

/// <summary>One prompt whose response streams to the terminal.</summary>
internal static class GenerateTerminal
{
    /// <summary>Loads the model, streams the response, and writes the speed to standard error at the end.</summary>
    public static async Task<int> RunAsync(
        EngineOptions options,
        GenerationRequest request,
        Terminal terminal,
        CancellationToken cancellationToken)
    {
        await using var engine = await EngineLoading.LoadAsync(options, terminal, cancellationToken);
        var response = new ResponseStream(terminal);
        await response.ShowAsync(engine, request, cancellationToken);
        await terminal.ErrorText.WriteLineAsync(response.Speed.Describe());
        return ExitCodes.Success;
    }
}
