using System.Diagnostics;
using System.Threading.Channels;
using LocalLlm.Grammars;
using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <summary>A validated request on its way through the engine, and the way back to its caller.</summary>
internal sealed class LiveRequest
{
    private readonly Channel<GenerationOutput> _outputs = Channel.CreateUnbounded<GenerationOutput>(new() { SingleReader = true });
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _taken;

    /// <summary>The id that the caller sees.</summary>
    public required string Id { get; init; }

    /// <summary>The prompt.</summary>
    public required int[] PromptTokenIds { get; init; }

    /// <summary>How tokens are chosen, checked.</summary>
    public required ValidatedSampling Sampling { get; init; }

    /// <summary>Shares cached prefixes only with requests of the same salt.</summary>
    public string? CacheSalt { get; init; }

    /// <summary>Lower goes first, where the engine schedules by priority.</summary>
    public int Priority { get; init; }

    /// <summary>The compiled grammar: held here, it stays in the compiler's cache until the executor asks for it.</summary>
    public CompiledGrammar? Grammar { get; init; }

    /// <summary>Whether the meters ignore it.</summary>
    public bool IsProbe { get; init; }

    /// <summary>Creates the text of one of its sequences; null: no text.</summary>
    public Func<TextStream>? CreateText { get; init; }

    /// <summary>The trace of the request, or null where nobody listens.</summary>
    public Activity? Activity { get; set; }

    /// <summary>Its sequences; set by the engine loop.</summary>
    public LiveSequence[] Sequences { get; set; } = [];

    /// <summary>Pieces for the caller, in order.</summary>
    public ChannelReader<GenerationOutput> Outputs => _outputs.Reader;

    /// <summary>Completes when nothing more is sent; pieces may still wait to be read.</summary>
    public Task Ended => _ended.Task;

    /// <summary>True for the first caller only: a request runs once.</summary>
    public bool TryTake() => Interlocked.Exchange(ref _taken, 1) == 0;

    /// <summary>Sends a piece; completes the stream with the last sequence's last one.</summary>
    /// <returns>Whether nothing more will be sent.</returns>
    public bool Send(GenerationOutput output)
    {
        _outputs.Writer.TryWrite(output);
        if (output.FinishReason is null || !Array.TrueForAll(Sequences, sequence => sequence.IsFinished))
            return false;
        Complete(null);
        return true;
    }

    /// <summary>Ends the stream; without effect if it has ended. Any thread may call it.</summary>
    /// <param name="failure">What the caller gets thrown, or null.</param>
    public void Complete(Exception? failure)
    {
        // First: whoever has the end of the stream finds the trace complete.
        try
        {
            if (failure is not null)
                Activity?.SetStatus(ActivityStatusCode.Error, failure.Message);
            Activity?.Dispose();
        }
        catch (Exception)
        {
            // A listener's fault is nobody else's: no caller must wait because of it.
        }

        _outputs.Writer.TryComplete(failure);
        _ended.TrySetResult();
    }
}
