using System.Diagnostics.CodeAnalysis;
using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>What has come and waits for the thread that takes it. An abort ends the wait, now and later.</summary>
internal sealed class AbortableQueue<T>
{
    private readonly object _lock = new();
    private readonly Queue<T> _items = [];
    private Exception? _aborted;

    /// <summary>Adds one.</summary>
    public void Add(T item)
    {
        lock (_lock)
        {
            _items.Enqueue(item);
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>Waits for the oldest.</summary>
    /// <exception cref="RankFailedException">The queue was aborted.</exception>
    public T Take()
    {
        lock (_lock)
        {
            while (true)
            {
                if (_aborted is { } reason)
                    throw new RankFailedException(reason.Message, reason);
                if (_items.TryDequeue(out var item))
                    return item;
                Monitor.Wait(_lock);
            }
        }
    }

    /// <summary>Takes the oldest if there is one.</summary>
    public bool TryTake([MaybeNullWhen(false)] out T item)
    {
        lock (_lock)
            return _items.TryDequeue(out item);
    }

    /// <summary>Whoever waits, or comes later, gets this.</summary>
    public void Abort(Exception reason)
    {
        lock (_lock)
        {
            _aborted ??= reason;
            Monitor.PulseAll(_lock);
        }
    }
}
