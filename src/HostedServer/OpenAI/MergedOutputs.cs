using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace LocalLlm.Server.OpenAI;

/// <summary>Runs several requests at once and gives their outputs as they come. One that fails ends all: they are one answer.</summary>
internal static class MergedOutputs
{
    /// <summary>Outputs, each with the number of its request.</summary>
    /// <exception cref="EngineException">A request is refused or fails.</exception>
    public static async IAsyncEnumerable<(int Request, GenerationOutput Output)> Run(LlmEngine engine, IReadOnlyList<GenerationRequest> requests, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        // All are checked before one of them runs.
        var streams = requests.Select(request => engine.GenerateAsync(request, left.Token)).ToArray();
        var merged = Channel.CreateUnbounded<(int, GenerationOutput)>(new() { SingleReader = true });
        var pumps = Task.WhenAll(streams.Select(PumpAsync));
        var end = pumps.ContinueWith(task => merged.Writer.TryComplete(task.Exception?.InnerException), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        try
        {
            await foreach (var item in merged.Reader.ReadAllAsync(left.Token))
                yield return item;
        }
        finally
        {
            await left.CancelAsync();
            await end;
        }

        async Task PumpAsync(IAsyncEnumerable<GenerationOutput> stream, int index)
        {
            try
            {
                await foreach (var output in stream)
                    merged.Writer.TryWrite((index, output));
            }
            catch (EngineException failure)
            {
                merged.Writer.TryComplete(failure);
                await left.CancelAsync();
                throw;
            }
        }
    }
}
