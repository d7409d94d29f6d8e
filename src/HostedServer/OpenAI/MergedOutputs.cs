using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// Runs several engine requests at once and merges their outputs as they come. They form one response, so a failure of one ends all.
/// </summary>
internal static class MergedOutputs
{
    /// <summary>Returns outputs, each with the number of its request.</summary>
    /// <exception cref="EngineException">A request is refused or fails.</exception>
    public static async IAsyncEnumerable<(int Request, GenerationOutput Output)> Run(LlmEngine engine, IReadOnlyList<GenerationRequest> requests, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await foreach (var batch in RunInBatches(engine, requests, static () => TimeSpan.Zero, cancellationToken))
        {
            foreach (var item in batch)
                yield return item;
        }
    }

    /// <summary>Returns the same outputs in lists; see <see cref="LlmEngine.GenerateInBatchesAsync"/>.</summary>
    /// <exception cref="EngineException">A request is refused or fails.</exception>
    public static async IAsyncEnumerable<IReadOnlyList<(int Request, GenerationOutput Output)>> RunInBatches(
        LlmEngine engine, IReadOnlyList<GenerationRequest> requests, Func<TimeSpan> pause, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        // All requests are validated before any of them runs.
        var streams = requests.Select(request => engine.GenerateInBatchesAsync(request, pause, left.Token)).ToArray();
        if (streams.Length == 1)
        {
            await foreach (var batch in streams[0])
                yield return Numbered(0, batch);
            yield break;
        }

        var merged = Channel.CreateUnbounded<IReadOnlyList<(int, GenerationOutput)>>(new() { SingleReader = true });
        var pumps = Task.WhenAll(streams.Select(PumpAsync));
        var end = pumps.ContinueWith(task => merged.Writer.TryComplete(task.IsCanceled ? new OperationCanceledException() : task.Exception?.InnerException), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        try
        {
            await foreach (var batch in merged.Reader.ReadAllAsync(cancellationToken))
                yield return batch;
        }
        finally
        {
            await left.CancelAsync();
            await end;
        }

        async Task PumpAsync(IAsyncEnumerable<IReadOnlyList<GenerationOutput>> stream, int index)
        {
            try
            {
                await foreach (var batch in stream)
                    merged.Writer.TryWrite(Numbered(index, batch));
            }
            catch (EngineException failure)
            {
                merged.Writer.TryComplete(failure);
                await left.CancelAsync();
                throw;
            }
        }
    }

    private static (int Request, GenerationOutput Output)[] Numbered(int request, IReadOnlyList<GenerationOutput> outputs) => [.. outputs.Select(output => (request, output))];
}
