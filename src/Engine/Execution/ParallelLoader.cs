using System.Runtime.ExceptionServices;
using LocalLlm.Interop;
using LocalLlm.Models;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Plans and loads the ranks of this process: the first on the calling thread, every other one on a thread of its own. Each reads its own slices of
/// the weights.
/// </summary>
internal sealed class ParallelLoader : IExecutorLoader
{
    private readonly EngineOptions _options;
    private readonly NodeRanks _node;
    private readonly ModelLoader _first;
    private readonly List<(RankThread Thread, RankContext Rank)> _others = [];
    private readonly List<ModelLoader> _loaders = []; // of the other ranks, each used on its thread alone
    private bool _handedOver;

    /// <summary>Plans every rank; nothing is loaded.</summary>
    /// <param name="options">What the engine is loaded with.</param>
    /// <param name="node">The ranks of this process.</param>
    /// <exception cref="EngineException">As of <see cref="ModelLoader"/>, for the first rank that cannot be planned.</exception>
    public ParallelLoader(EngineOptions options, NodeRanks node)
    {
        _options = options;
        _node = node;
        // What is wrong with the model or the options is so on all ranks.
        _first = new(options, node.Ranks[0]);
        try
        {
            foreach (var rank in node.Ranks.Skip(1))
                _others.Add((new(rank.Rank, node.Abort), rank));
            var quiet = options with { LoggerFactory = null };
            _loaders.AddRange(All(_others.Select(other => other.Thread.RunAsync(() => new ModelLoader(quiet, other.Rank)))));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public ModelConfig Config => _first.Config;

    /// <inheritdoc/>
    public ScalarType ComputeType => _first.ComputeType;

    /// <inheritdoc/>
    public MemoryPlan Plan => Plans.MinBy(plan => plan.NumBlocks)!;

    /// <summary>Of every rank of this process, in order.</summary>
    public IReadOnlyList<MemoryPlan> Plans => [.. _loaders.Prepend(_first).Select(loader => loader.Plan)];

    /// <inheritdoc/>
    public void CheckWeights()
    {
        foreach (var loader in _loaders.Prepend(_first))
            loader.CheckWeights();
    }

    /// <inheritdoc/>
    public IStepExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        // Before any rank waits for another one.
        CheckWeights();
        using var threads = new CpuThreadSetting();
        using var cancellation = cancellationToken.Register(() => _node.Abort(new OperationCanceledException(cancellationToken)));
        var loading = _others.Zip(_loaders, (other, loader) =>
            other.Thread.LoadAsync(() => loader.Load(grammars, progress: null, cancellationToken))).ToList();
        LocalExecutor? first = null;
        try
        {
            first = _first.Load(grammars, progress, cancellationToken);
        }
        catch (Exception failure)
        {
            _node.Abort(failure);
            ThrowCause([.. loading.Select(FailureOf).Prepend(failure)], cancellationToken);
        }

        try
        {
            All(loading);
            var plan = _node.Ranks[0].Plan;
            var sampling = _others.Find(other => other.Rank.Rank == plan.SamplingRank).Thread;
            var executor = new ParallelExecutor(first!, [.. _others.Select(other => other.Thread)], sampling, plan.PipelineParallel, _node.Abort);
            _handedOver = true;
            return executor;
        }
        catch
        {
            first!.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (var i = 0; i < _loaders.Count; i++)
        {
            var loader = _loaders[i];
            _others[i].Thread.RunAsync(() =>
            {
                loader.Dispose();
                return 0;
            }).GetAwaiter().GetResult();
        }

        _loaders.Clear();
        if (!_handedOver)
        {
            foreach (var (thread, _) in _others)
                thread.Dispose();
        }

        _first.Dispose();
    }

    // Waits for all, and throws what was first to go wrong rather than what others say of it.
    private static List<T> All<T>(IEnumerable<Task<T>> tasks)
    {
        var all = tasks.ToList();
        var failures = all.Select(FailureOf).ToList();
        ThrowCause(failures, CancellationToken.None);
        return [.. all.Select(task => task.Result)];
    }

    private static Exception? FailureOf<T>(Task<T> task)
    {
        ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
        return task.Exception?.InnerException;
    }

    private static void ThrowCause(IReadOnlyList<Exception?> failures, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if ((failures.FirstOrDefault(failure => failure is not null and not RankFailedException) ?? failures.FirstOrDefault(failure => failure is not null)) is { } cause)
            ExceptionDispatchInfo.Throw(cause);
    }
}
