using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// Passes the residual stream from the thread of one stage to that of the next, through the memory of their process. Both ends use the
/// same instance.
/// </summary>
internal sealed class ThreadLink : IPipelineLink
{
    private readonly Queue<Tensor> _sent = []; // detached from the sender's scopes; also the lock
    private RankFailedException? _failure;

    /// <inheritdoc/>
    public void Send(Tensor hidden)
    {
        var copy = hidden.clone().DetachFromDisposeScope();
        lock (_sent)
        {
            if (_failure is { } failure)
            {
                copy.Dispose();
                throw new RankFailedException(failure.Message, failure.InnerException);
            }

            _sent.Enqueue(copy);
            Monitor.Pulse(_sent);
        }
    }

    /// <inheritdoc/>
    public Tensor Receive(long tokens, long width, ScalarType type)
    {
        Tensor received;
        lock (_sent)
        {
            while (_sent.Count == 0)
            {
                if (_failure is { } failure)
                    throw new RankFailedException(failure.Message, failure.InnerException);
                Monitor.Wait(_sent);
            }

            received = _sent.Dequeue();
        }

        using (received)
            return received.view(tokens, width); // the same memory, now owned by this thread's scope
    }

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        lock (_sent)
        {
            _failure ??= reason as RankFailedException ?? new("Another stage has failed: " + reason.Message, reason);
            Monitor.PulseAll(_sent);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_sent)
        {
            while (_sent.TryDequeue(out var tensor))
                tensor.Dispose();
        }
    }
}
