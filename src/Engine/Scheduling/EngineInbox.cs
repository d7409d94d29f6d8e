using System.Collections.Concurrent;
using System.Threading.Channels;

namespace LocalLlm.Scheduling;

/// <summary>
/// The engine loop's queue of commands, and the list of open requests. Closing it completes every open request and refuses every later
/// command, so no caller waits after that. Thread-safe; only the loop reads.
/// </summary>
internal sealed class EngineInbox
{
    // Synchronous continuations: the posting thread wakes the loop's thread directly, without a thread of the pool in between.
    private readonly Channel<EngineCommand> _commands = Channel.CreateUnbounded<EngineCommand>(new() { AllowSynchronousContinuations = true });
    private readonly ConcurrentDictionary<LiveRequest, bool> _open = new();
    private EngineException? _closed;
    private bool _hasEnded;

    /// <summary>Why the inbox accepts no more requests, or null if it does.</summary>
    public EngineException? Closed => Volatile.Read(ref _closed);

    /// <summary>Queues a request; its stream reports a refusal.</summary>
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

    /// <summary>Ends a request whose caller has left; without effect if it has already ended.</summary>
    public void Abort(LiveRequest request) => Post(new EngineCommand.Abort(request));

    /// <summary>Drops all cached prefixes.</summary>
    public void ResetPrefixCache() => Post(new EngineCommand.ResetPrefixCache());

    /// <summary>Maps how the KV blocks are used; see <see cref="LlmEngine.MapKvBlocksAsync"/>.</summary>
    public Task<string> MapKvBlocksAsync(int cells)
    {
        var map = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        return Post(new EngineCommand.MapKvBlocks(cells, map)) ? map.Task : Task.FromResult("");
    }

    /// <summary>Accepts no more requests and lets the running ones finish; then the loop ends.</summary>
    public void BeginDrain()
    {
        Interlocked.CompareExchange(ref _closed, ShuttingDown(), null);
        Post(new EngineCommand.Drain());
    }

    /// <summary>Ends every request, then the loop.</summary>
    public void Stop()
    {
        BeginDrain();
        Post(new EngineCommand.AbortAll());
    }

    /// <summary>Takes the next command, if any.</summary>
    public bool TryRead([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out EngineCommand? command) => _commands.Reader.TryRead(out command);

    /// <summary>Blocks the calling thread until a command arrives.</summary>
    public void Wait() => _commands.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Completes a request.</summary>
    /// <param name="request">The request.</param>
    /// <param name="failure">The exception for its caller, or null.</param>
    public void Complete(LiveRequest request, Exception? failure)
    {
        _open.TryRemove(request, out _);
        request.Complete(failure);
    }

    /// <summary>Closes the inbox after the loop has ended normally.</summary>
    public void Close() => Close(Closed ?? ShuttingDown());

    /// <summary>
    /// Closes the inbox: completes every open request, and answers every queued command. Only the first call has an effect.
    /// </summary>
    /// <param name="reason">The exception for the callers.</param>
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

    // False: the inbox is closed, and the loop will not read the command.
    private bool Post(EngineCommand command) => _commands.Writer.TryWrite(command);
}
