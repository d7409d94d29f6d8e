using System.Runtime.ExceptionServices;
using LocalLlm.Interop;
using LocalLlm.Models;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Plans and loads the ranks of this process: the first on the calling thread, each other one on a thread of its own. Each reads only its
/// own slices of the weights.
/// </summary>
internal sealed class ParallelLoader : IExecutorLoader
{
    private readonly NodeRanks _node;
    private readonly CpuThreadSetting _threads;
    private readonly ModelLoader? _first;
    private readonly List<(RankThread Thread, RankContext Rank)> _others = [];
    private readonly List<(RankThread Thread, ModelLoader Loader)> _loaders = []; // one for each of the other ranks
    private bool _handedOver;

    /// <summary>Plans every rank without loading it.</summary>
    /// <param name="options">The engine's options.</param>
    /// <param name="node">The ranks of this process.</param>
    /// <exception cref="EngineException">Like <see cref="ModelLoader"/>, for the first rank that cannot be planned.</exception>
    public ParallelLoader(EngineOptions options, NodeRanks node)
    {
        _node = node;
        _threads = new(options.LibTorchPath);
        var taken = 0;
        try
        {
            // A fault of the model or the options would show on all ranks, so plan the first rank alone first.
            taken++;
            _first = new(options, node.Ranks[0]);
            var quiet = options with { LoggerFactory = null };
            foreach (var rank in node.Ranks.Skip(1))
                _others.Add((new(rank.Rank, node.Abort), rank));
            taken = node.Ranks.Count;
            var planning = _others.Select(other => (other.Thread, Task: other.Thread.RunAsync(() => new ModelLoader(quiet, other.Rank)))).ToList();
            var failures = planning.ConvertAll(one => FailureOf(one.Task));
            _loaders.AddRange(planning.Where(one => one.Task.IsCompletedSuccessfully).Select(one => (one.Thread, one.Task.Result)));
            ThrowCause(failures, CancellationToken.None);
        }
        catch
        {
            node.DisposeFrom(taken);
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public ModelConfig Config => _first!.Config;

    /// <inheritdoc/>
    public ScalarType ComputeType => _first!.ComputeType;

    /// <inheritdoc/>
    public MemoryPlan Plan => Plans.MinBy(plan => plan.NumBlocks)!;

    /// <summary>The plan of every rank of this process, in order.</summary>
    public IReadOnlyList<MemoryPlan> Plans => [.. _loaders.Select(other => other.Loader).Prepend(_first!).Select(loader => loader.Plan)];

    /// <inheritdoc/>
    public void CheckWeights()
    {
        _first!.CheckWeights();
        foreach (var (thread, loader) in _loaders)
        {
            thread.RunAsync(() =>
            {
                loader.CheckWeights();
                return true;
            }).GetAwaiter().GetResult();
        }
    }

    /// <inheritdoc/>
    public IStepExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        // Check before any rank waits for another one.
        CheckWeights();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken); // ends all ranks when one has failed
        var registration = ending.Token.Register(() => _node.Abort(new OperationCanceledException("The load was given up.")));
        var loading = _loaders.Select(other => other.Thread.LoadAsync(() => other.Loader.Load(GrammarsOf(other.Loader.Rank), progress: null, ending.Token))).ToList();
        LocalExecutor? first = null;
        var failures = new List<Exception?>();
        try
        {
            first = _first!.Load(GrammarsOf(_first.Rank), progress, ending.Token);
        }
        catch (Exception failure)
        {
            failures.Add(failure);
            _node.Abort(failure);
            ending.Cancel();
        }

        failures.AddRange(loading.Select(FailureOf));
        // From here on, cancelling the token has no effect unless it happened before.
        registration.Dispose();
        try
        {
            ThrowCause(failures, cancellationToken);
            FreeLoaders();
        }
        catch
        {
            first?.Dispose();
            throw;
        }

        var plan = _node.Ranks[0].Plan;
        var sampling = Enumerable.Range(0, plan.DataParallel).Select(group => (IRankExecutor?)_others.Find(other => other.Rank.Rank == plan.SamplingRankOf(group)).Thread);
        _handedOver = true;
        return new ParallelExecutor(first!, [.. _others.Select(other => other.Thread)], [.. sampling], plan.PipelineParallel, _node.Abort);

        // The sampling rank shares the grammars that validated the requests. Other ranks that sample (on devices, or for other groups)
        // compile them again on their own threads.
        ResponseGrammars? GrammarsOf(RankContext rank) => rank.Rank == rank.Plan.SamplingRank ? grammars : grammars?.ForAnotherThread();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        FreeLoaders();
        if (!_handedOver)
        {
            foreach (var (thread, _) in _others)
                thread.Stop();
            foreach (var (thread, _) in _others)
                thread.Dispose();
        }

        _first?.Dispose();
        _threads.Dispose();
    }

    private void FreeLoaders()
    {
        foreach (var (thread, loader) in _loaders)
        {
            thread.RunAsync(() =>
            {
                loader.Dispose();
                return true;
            }).GetAwaiter().GetResult();
        }

        _loaders.Clear();
    }

    // Waits for the task.
    private static Exception? FailureOf<T>(Task<T> task)
    {
        ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
        return task.Exception?.InnerException;
    }

    // Throws the first failure rather than what other ranks report about it.
    private static void ThrowCause(IReadOnlyList<Exception?> failures, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if ((failures.FirstOrDefault(failure => failure is not null and not RankFailedException and not OperationCanceledException) ?? failures.FirstOrDefault(failure => failure is not null)) is { } cause)
            ExceptionDispatchInfo.Throw(cause);
    }
}
