using System.Collections.Concurrent;
using System.Threading.Channels;

namespace LocalLlm.Scheduling;

/// <summary>
/// What waits for the engine loop, and everybody who waits for it. Once it is closed nobody waits any more: every open request is
/// completed, and every later command refused. Thread-safe; the loop alone reads.
/// </summary>
internal sealed class EngineInbox
{
    // Whoever posts wakes the loop's thread itself, and needs no other for it.
    private readonly Channel<EngineCommand> _commands = Channel.CreateUnbounded<EngineCommand>(new() { AllowSynchronousContinuations = true });
    private readonly ConcurrentDictionary<LiveRequest, bool> _open = new();
    private EngineException? _closed;
    private bool _hasEnded;

    /// <summary>Why nothing more is taken, or null.</summary>
    public EngineException? Closed => Volatile.Read(ref _closed);

    /// <summary>Queues a request; any refusal comes through its stream.</summary>
    public void Submit(LiveRequest request)
    {
        if (Closed is { } closed)
        {
            request.Complete(closed);
            return;
        }

        _open[request] = true;
        if (!Post(new EngineCommand.Submit(request)))
            Complete(request, Closed);
    }

    /// <summary>Ends a request whose caller has left; without effect if it has ended.</summary>
    public void Abort(LiveRequest request) => Post(new EngineCommand.Abort(request));

    /// <summary>Forgets all cached prefixes.</summary>
    public void ResetPrefixCache() => Post(new EngineCommand.ResetPrefixCache());

    /// <summary>What the KV blocks are used for; see <see cref="LlmEngine.MapKvBlocksAsync"/>.</summary>
    public Task<string> MapKvBlocksAsync(int cells)
    {
        var map = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        return Post(new EngineCommand.MapKvBlocks(cells, map)) ? map.Task : Task.FromResult("");
    }

    /// <summary>Takes no more requests and lets the running ones finish; then the loop ends.</summary>
    public void BeginDrain()
    {
        Interlocked.CompareExchange(ref _closed, ShuttingDown(), null);
        Post(new EngineCommand.Drain());
    }

    /// <summary>Ends every request and then the loop.</summary>
    public void Stop()
    {
        BeginDrain();
        Post(new EngineCommand.AbortAll());
    }

    /// <summary>Takes the next command, if there is one.</summary>
    public bool TryRead([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out EngineCommand? command) => _commands.Reader.TryRead(out command);

    /// <summary>Waits for a command. The calling thread does nothing else.</summary>
    public void Wait() => _commands.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>The request is over.</summary>
    /// <param name="request">The request.</param>
    /// <param name="failure">What its caller gets thrown, or null.</param>
    public void Complete(LiveRequest request, Exception? failure)
    {
        _open.TryRemove(request, out _);
        request.Complete(failure);
    }

    /// <summary>The loop has ended as it should.</summary>
    public void Close() => Close(Closed ?? ShuttingDown());

    /// <summary>
    /// The loop has ended, which only the first call says: completes every request that is still open, and answers every command that is
    /// still queued.
    /// </summary>
    /// <param name="reason">What the callers get thrown.</param>
    public void Close(EngineException reason)
    {
        if (Interlocked.Exchange(ref _hasEnded, true))
            return;
        Volatile.Write(ref _closed, reason);
        _commands.Writer.TryComplete();
        foreach (var request in _open.Keys)
            Complete(request, reason);
        while (_commands.Reader.TryRead(out var command))
        {
            if (command is EngineCommand.MapKvBlocks map)
                map.Map.TrySetResult("");
            else if (command is EngineCommand.Submit submit)
                Complete(submit.Request, reason);
        }
    }

    private static EngineException ShuttingDown() => new(EngineErrorKind.ShuttingDown, "The engine is shutting down and takes no more requests.");

    // False: nobody will read it.
    private bool Post(EngineCommand command) => _commands.Writer.TryWrite(command);
}
