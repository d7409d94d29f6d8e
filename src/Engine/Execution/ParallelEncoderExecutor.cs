using System.Runtime.ExceptionServices;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>
/// An encoder whose layers are split over several ranks: the first on the calling thread, each other one on a thread of its own. Only the
/// first rank has the heads' results.
/// </summary>
internal sealed class ParallelEncoderExecutor : IEncoderExecutor
{
    private readonly NodeRanks _node;
    private readonly EncoderExecutor _first;
    private readonly IReadOnlyList<(RankThread Thread, EncoderExecutor Executor)> _others;

    private ParallelEncoderExecutor(NodeRanks node, EncoderExecutor first, IReadOnlyList<(RankThread Thread, EncoderExecutor Executor)> others) =>
        (_node, _first, _others) = (node, first, others);

    /// <inheritdoc/>
    public EmbeddingKinds Kinds => _first.Kinds;

    /// <inheritdoc/>
    public int Dimensions => _first.Dimensions;

    /// <inheritdoc/>
    public int MaxModelLength => _first.MaxModelLength;

    /// <inheritdoc/>
    public int StepTokens => _first.StepTokens;

    /// <inheritdoc/>
    public TimeSpan? StepTimeout => _first.StepTimeout;

    /// <summary>Loads a model folder over the ranks that the options ask for.</summary>
    /// <exception cref="EngineException">ModelFolder, InvalidOptions or Environment. Everything loaded so far is freed.</exception>
    public static IEncoderExecutor Create(EngineOptions options, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        var plan = new ParallelPlan(options.TensorParallel, 1, 1);
        DeviceOptions.Require(options);
        if (plan.WorldSize == 1)
            return new EncoderExecutor(options.Devices is [var only] ? options with { Device = only } : options, null, progress, cancellationToken);
        using var threads = new CpuThreadSetting(options.LibTorchPath);
        var node = NodeRanks.Create(plan, 0, NodeRanks.DevicesOf(options, plan.WorldSize), options.NumThreads);
        var quiet = options with { LoggerFactory = null };
        var loading = node.Ranks.Skip(1).Select(rank =>
        {
            var thread = new RankThread(rank.Rank, node.Abort);
            return (Thread: thread, Executor: thread.RunAsync(() => new EncoderExecutor(quiet, rank, null, cancellationToken)));
        }).ToList();
        EncoderExecutor? first = null;
        try
        {
            first = new(options, node.Ranks[0], progress, cancellationToken);
            return new ParallelEncoderExecutor(node, first, [.. loading.Select(other => (other.Thread, other.Executor.GetAwaiter().GetResult()))]);
        }
        catch (Exception failure)
        {
            node.Abort(failure);
            first?.Dispose();
            foreach (var (thread, executor) in loading)
            {
                thread.RunAsync(() => executor.IsCompletedSuccessfully && Freed(executor.Result)).GetAwaiter().GetResult();
                thread.Dispose();
            }

            throw;
        }
    }

    /// <inheritdoc/>
    public TextEmbedding?[] Run(IReadOnlyList<int[]> texts, IReadOnlyList<EmbeddingKinds> kinds, IReadOnlySet<int> specialIds)
    {
        var following = _others.Select(other => other.Thread.RunAsync(() =>
        {
            other.Executor.Follow(texts);
            return 0;
        })).ToList();
        try
        {
            var result = _first.Run(texts, kinds, specialIds);
            Task.WhenAll(following).GetAwaiter().GetResult();
            return result;
        }
        catch (Exception failure)
        {
            _node.Abort(failure);
            if (failure is RankFailedException { InnerException: { } cause })
                ExceptionDispatchInfo.Throw(cause);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Abort(Exception reason) => _node.Abort(reason);

    /// <inheritdoc/>
    public void Dispose()
    {
        _node.Abort(new RankFailedException("The engine has ended.", null));
        foreach (var (thread, executor) in _others)
        {
            thread.RunAsync(() => Freed(executor)).GetAwaiter().GetResult();
            thread.Dispose();
        }

        _first.Dispose();
    }

    private static bool Freed(EncoderExecutor executor)
    {
        executor.Dispose();
        return true;
    }
}
