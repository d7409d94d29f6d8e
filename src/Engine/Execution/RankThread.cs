using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>
/// A rank on a thread of its own, which owns the rank's device for its whole life: it plans, loads, runs every step and frees the device.
/// It repeats the engine loop's calls in the same order.
/// </summary>
internal sealed class RankThread : IRankExecutor
{
    // A thread that has not ended by then hangs in its device and is abandoned.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly BlockingCollection<Action> _work = [];
    private readonly BlockingCollection<StepResult> _results = [];
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private IStepExecutor? _executor;
    private volatile Exception? _failure;
    private Exception? _notFreed;

    /// <summary>Starts the thread.</summary>
    /// <param name="rank">The rank, which names the thread.</param>
    /// <param name="failed">Ends the other ranks, which may be waiting for this one; called on this thread.</param>
    public RankThread(int rank, Action<Exception> failed)
    {
        _failed = failed;
        _thread = new(Run) { IsBackground = true, Name = $"LocalLlm rank {rank}" };
        _thread.Start();
    }

    /// <inheritdoc/>
    public ExecutorCapabilities Capabilities => _executor!.Capabilities;

    /// <summary>Why the rank cannot go on; null: it can.</summary>
    public Exception? Failure => _failure;

    /// <summary>Runs a function on the thread. A failure ends the other ranks and also faults the returned task.</summary>
    public Task<T> RunAsync<T>(Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _work.Add(() =>
        {
            try
            {
                done.SetResult(work());
            }
            catch (Exception failure)
            {
                _failed(failure);
                done.SetException(failure);
            }
        });
        return done.Task;
    }

    /// <summary>Loads the executor on the thread, which then owns it.</summary>
    public Task<ExecutorCapabilities> LoadAsync(Func<IStepExecutor> load) => RunAsync(() =>
    {
        _executor = new StepWindow(load());
        return _executor.Capabilities;
    });

    /// <inheritdoc/>
    public bool Submit(SchedulerOutput step)
    {
        Do(executor => executor.Submit(step));
        return true;
    }

    /// <inheritdoc/>
    public void BeginComplete() => Do(executor => _results.Add(executor.Complete()));

    /// <inheritdoc/>
    public StepResult Complete()
    {
        try
        {
            return _results.Take();
        }
        catch (InvalidOperationException)
        {
            throw _failure ?? new ObjectDisposedException(nameof(RankThread));
        }
    }

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        _failure ??= RankFailedException.From(reason);
        _results.CompleteAdding();
        _executor?.Abort(reason);
    }

    /// <summary>Lets the thread end, which frees the device.</summary>
    public void Stop() => _work.CompleteAdding();

    /// <summary>Waits at most ten seconds for the thread to end; a thread that hangs in its device is abandoned.</summary>
    public void Dispose()
    {
        Stop();
        if (!_thread.Join(Patience))
            return;
        _work.Dispose();
        _results.Dispose();
        if (_notFreed is { } failure)
            ExceptionDispatchInfo.Throw(failure);
    }

    private void Do(Action<IStepExecutor> call) => _work.Add(() =>
    {
        // After a failure no more work is done: the other ranks have been ended.
        if (_failure is not null)
            return;
        try
        {
            call(_executor!);
        }
        catch (Exception failure)
        {
            _failure ??= failure;
            _results.CompleteAdding();
            _failed(failure);
        }
    });

    private void Run()
    {
        foreach (var work in _work.GetConsumingEnumerable())
            work();
        try
        {
            _executor?.Dispose();
        }
        catch (Exception failure)
        {
            // Freeing a device that has failed may fail again.
            _notFreed = failure;
        }
    }
}
