using System.Diagnostics;
using System.Threading.Channels;
using LocalLlm.Grammars;
using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <summary>A validated request in the engine, and its stream of outputs to the caller.</summary>
internal sealed class LiveRequest
{
    private readonly Channel<GenerationOutput> _outputs = Channel.CreateUnbounded<GenerationOutput>(new() { SingleReader = true });
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _taken;

    /// <summary>The id that the caller sees.</summary>
    public required string Id { get; init; }

    /// <summary>The prompt.</summary>
    public required int[] PromptTokenIds { get; init; }

    /// <summary>How tokens are chosen; already validated.</summary>
    public required ValidatedSampling Sampling { get; init; }

    /// <summary>Shares cached prefixes only with requests of the same salt.</summary>
    public string? CacheSalt { get; init; }

    /// <summary>Lower values run first if the engine schedules by priority.</summary>
    public int Priority { get; init; }

    /// <summary>The compiled grammar. This reference keeps it in the compiler's cache until the executor asks for it.</summary>
    public CompiledGrammar? Grammar { get; init; }

    /// <summary>Whether metrics leave the request out.</summary>
    public bool IsProbe { get; init; }

    /// <summary>Creates the text stream of one of the request's sequences; null: no text.</summary>
    public Func<TextStream>? CreateText { get; init; }

    /// <summary>The request's trace, or null if there is no listener.</summary>
    public Activity? Activity { get; set; }

    /// <summary>The request's sequences; the engine loop sets them.</summary>
    public LiveSequence[] Sequences { get; set; } = [];

    /// <summary>Pieces for the caller, in order.</summary>
    public ChannelReader<GenerationOutput> Outputs => _outputs.Reader;

    /// <summary>Completes once the engine sends no more pieces; the caller may still have pieces to read.</summary>
    public Task Ended => _ended.Task;

    /// <summary>True for the first call only: a request runs once.</summary>
    public bool TryTake() => Interlocked.Exchange(ref _taken, 1) == 0;

    /// <summary>Sends a piece; the last piece of the last sequence completes the stream.</summary>
    /// <returns>Whether that was the request's last piece.</returns>
    public bool Send(GenerationOutput output)
    {
        _outputs.Writer.TryWrite(output);
        if (output.FinishReason is null || !Array.TrueForAll(Sequences, sequence => sequence.IsFinished))
            return false;
        Complete(null);
        return true;
    }

    /// <summary>Ends the stream; without effect if it has already ended. Any thread may call it.</summary>
    /// <param name="failure">The exception for the caller, or null.</param>
    public void Complete(Exception? failure)
    {
        // End the trace first: a caller that sees the end of the stream must find the trace complete.
        try
        {
            if (failure is not null)
                Activity?.SetStatus(ActivityStatusCode.Error, failure.Message);
            Activity?.Dispose();
        }
        catch (Exception)
        {
            // A faulty listener must not keep the caller waiting.
        }

        _outputs.Writer.TryComplete(failure);
        _ended.TrySetResult();
    }
}
