using LocalLlm.Execution;
using LocalLlm.Models;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using LocalLlm.Tests.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>Two tensor-parallel ranks on the CPU that record their gathers. An instance is for one engine.</summary>
internal sealed class GatherRecordingRanks : IStepExecutorFactory
{
    private readonly CountedCollectives[] _groups = [.. ThreadCollectives.Create(2).Select(group => new CountedCollectives(group))];

    /// <summary>The gathers of each rank.</summary>
    public IReadOnlyList<IReadOnlyList<GatherCall>> Gathers => [.. _groups.Select(group => group.Gathers)];

    /// <inheritdoc/>
    public IExecutorLoader Open(EngineOptions options) => new Loader(options, this);

    private RankContext Context(int rank) => new(new(2, 1, 1), rank, "cpu", _groups[rank]);

    private void Abort(Exception reason)
    {
        foreach (var group in _groups)
            group.Abort(reason);
    }

    private sealed class Loader(EngineOptions options, GatherRecordingRanks ranks) : IExecutorLoader
    {
        private readonly ModelLoader _first = new(options, ranks.Context(0));

        public ModelConfig Config => _first.Config;

        public ScalarType ComputeType => _first.ComputeType;

        public MemoryPlan Plan => _first.Plan;

        public void CheckWeights() => _first.CheckWeights();

        public IStepExecutor Load(ResponseGrammars? grammars, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
        {
            var second = new RankThread(1, ranks.Abort);
            var loading = second.LoadAsync(() =>
            {
                using var loader = new ModelLoader(options, ranks.Context(1));
                return loader.Load(grammars, null, cancellationToken);
            });
            var first = _first.Load(grammars, progress, cancellationToken);
            loading.GetAwaiter().GetResult();
            return new ParallelExecutor(first, [second], [null], 1, ranks.Abort);
        }

        public void Dispose() => _first.Dispose();
    }
}
