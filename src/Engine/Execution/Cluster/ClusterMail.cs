using System.Collections.Concurrent;

namespace LocalLlm.Execution.Cluster;

/// <summary>What has come from other nodes, by who waits for it. Thread-safe; an abort ends every wait.</summary>
internal sealed class ClusterMail
{
    private readonly ConcurrentDictionary<(NodeMessageKind Kind, int From, int To), AbortableQueue<ReadOnlyMemory<byte>>> _queues = new();
    private readonly ConcurrentDictionary<string, TaskCompletionSource<byte[]>> _shared = new(StringComparer.Ordinal);
    private volatile Exception? _aborted;

    /// <summary>Messages of one kind from a node (or, of activations, between two ranks).</summary>
    public AbortableQueue<ReadOnlyMemory<byte>> Of(NodeMessageKind kind, int from, int to = 0)
    {
        var queue = _queues.GetOrAdd((kind, from, to), _ => new());
        if (_aborted is { } reason)
            queue.Abort(reason);
        return queue;
    }

    /// <summary>The shared values that are known.</summary>
    public IEnumerable<SharedValue> SharedValues => _shared.Where(value => value.Value.Task.IsCompletedSuccessfully).Select(value => new SharedValue(value.Key, value.Value.Task.Result));

    /// <summary>A shared value has come, or was created here.</summary>
    public void Share(SharedValue value) => Shared(value.Key).TrySetResult(value.Value);

    /// <summary>Waits for a shared value.</summary>
    /// <exception cref="Parallel.RankFailedException">The replica was aborted.</exception>
    public byte[] TakeShared(string key)
    {
        var value = Shared(key);
        if (_aborted is { } reason)
            value.TrySetException(new Parallel.RankFailedException(reason.Message, reason));
        return value.Task.GetAwaiter().GetResult();
    }

    /// <summary>Ends every wait, now and later.</summary>
    public void Abort(Exception reason)
    {
        _aborted ??= reason;
        foreach (var queue in _queues.Values)
            queue.Abort(reason);
        foreach (var value in _shared.Values)
            value.TrySetException(new Parallel.RankFailedException(reason.Message, reason));
    }

    private TaskCompletionSource<byte[]> Shared(string key) => _shared.GetOrAdd(key, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));
}
