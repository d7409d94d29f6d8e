using LocalLlm.Ops;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>What the worker remembers of a step until its results are asked for. Reused; nothing is allocated in steady state.</summary>
internal sealed class LaunchedStep : IDisposable
{
    private readonly List<Entry> _entries = [];
    private readonly List<SamplingState> _states = [];
    private readonly List<int> _outputPositions = [];
    private readonly SamplingBatch _batch = new();
    private SampledToken[] _sampled = [];
    private int[] _ids = [];
    private bool _isResolved;

    /// <summary>One per sequence of the step.</summary>
    public IReadOnlyList<Entry> Entries => _entries;

    /// <summary>One per sampled row.</summary>
    public IReadOnlyList<SamplingState> States => _states;

    /// <summary>Whether the device is choosing the tokens.</summary>
    public bool IsSampling { get; set; }

    /// <summary>One per sampled row.</summary>
    public Memory<SampledToken> Sampled => Grown(ref _sampled);

    /// <summary>Notes the sequences of a step.</summary>
    public void Begin(SchedulerOutput step)
    {
        foreach (var sequence in step.Sequences)
            _entries.Add(new(sequence.SequenceId, sequence.SamplesToken, null, null));
    }

    /// <summary>Adds a row whose token is chosen.</summary>
    /// <param name="state">How.</param>
    /// <param name="outputPosition">The token's index in the output.</param>
    public void AddSample(SamplingState state, int outputPosition)
    {
        _states.Add(state);
        _outputPositions.Add(outputPosition);
    }

    /// <summary>How the device is to choose, one per sampled row.</summary>
    public SamplingBatch Batch()
    {
        _batch.Clear();
        for (var i = 0; i < _states.Count; i++)
            DeviceSampling.Add(_batch, _states[i], _outputPositions[i]);
        return _batch;
    }

    /// <summary>Waits for tokens that the device is choosing, and tells every sequence its token. Done once.</summary>
    public void Resolve(IDeviceOps ops)
    {
        if (_isResolved)
            return;
        _isResolved = true;
        var sampled = Sampled.Span;
        if (IsSampling)
        {
            var ids = Ids;
            ops.Features.TokenSampler!.EndSample(ids);
            for (var i = 0; i < ids.Length; i++)
            {
                sampled[i] = ids[i] switch
                {
                    ITokenSampler.NonFiniteRow => SampledToken.Failed(SampleError.NonFiniteLogits),
                    ITokenSampler.NoTokenAllowed => SampledToken.Failed(SampleError.NoTokenAllowed, _states[i].GrammarFailure),
                    var id => new SampledToken(id),
                };
            }
        }

        for (var i = 0; i < sampled.Length; i++)
        {
            if (sampled[i].Error == SampleError.None)
                _states[i].Append(sampled[i].TokenId);
        }
    }

    /// <summary>Adds what was read of a sequence's prompt.</summary>
    public void SetPromptLogprobs(int index, (IReadOnlyList<TokenLogprobs>? Logprobs, EngineException? Failure) read) =>
        _entries[index] = _entries[index] with { PromptLogprobs = read.Logprobs, Failure = read.Failure };

    /// <summary>Forgets the step.</summary>
    public void Clear()
    {
        _entries.Clear();
        _states.Clear();
        _outputPositions.Clear();
        IsSampling = false;
        _isResolved = false;
    }

    /// <inheritdoc/>
    public void Dispose() => _batch.Dispose();

    private Span<int> Ids => Grown(ref _ids).Span;

    private Memory<T> Grown<T>(ref T[] array)
    {
        if (array.Length < _states.Count)
            array = new T[Math.Max(_states.Count, 2 * array.Length)];
        return array.AsMemory(0, _states.Count);
    }

    /// <summary>A sequence of the step.</summary>
    internal readonly record struct Entry(long SequenceId, bool Samples, IReadOnlyList<TokenLogprobs>? PromptLogprobs, EngineException? Failure);
}
