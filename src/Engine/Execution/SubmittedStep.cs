using LocalLlm.Ops;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>What an executor remembers of a step until its result is read. Reused; nothing is allocated in steady state.</summary>
internal sealed class SubmittedStep : IDisposable
{
    private readonly List<Entry> _entries = [];
    private readonly List<SamplingState> _states = [];
    private readonly List<int> _outputPositions = [];
    private readonly SamplingBatch _batch = new();
    private SampledToken[] _sampled = [];
    private int[] _ids = [];
    private bool _isResolved;
    private long _stepId;

    /// <summary>Why the step failed, once it has.</summary>
    public StepFailure? Failure { get; set; }

    /// <summary>One per sampled row.</summary>
    public IReadOnlyList<SamplingState> States => _states;

    /// <summary>Whether the device is choosing the tokens.</summary>
    public bool IsSampling { get; set; }

    /// <summary>One per sampled row.</summary>
    public Memory<SampledToken> Sampled => Grown(ref _sampled);

    /// <summary>Notes the sequences of a step.</summary>
    public void Begin(SchedulerOutput step)
    {
        _stepId = step.StepId;
        foreach (var sequence in step.Sequences)
            _entries.Add(new(sequence.SequenceId, null, null, -1));
    }

    /// <summary>Adds a row whose token is chosen.</summary>
    /// <param name="index">The sequence's index in the step.</param>
    /// <param name="state">How.</param>
    /// <param name="outputPosition">The token's index in the output.</param>
    public void AddSample(int index, SamplingState state, int outputPosition)
    {
        _entries[index] = _entries[index] with { Row = _states.Count };
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

    /// <summary>Waits for tokens that the device is choosing, and appends each to its sequence's state. Done once.</summary>
    /// <returns>False: the step has failed (<see cref="Failure"/>).</returns>
    public bool TryResolve(IDeviceOps ops)
    {
        if (_isResolved || Failure is not null)
            return Failure is null;
        _isResolved = true;
        try
        {
            Resolve(ops);
        }
        catch (Exception failure)
        {
            Failure = StepFailure.From(failure);
        }

        return Failure is null;
    }

    /// <summary>Adds what was read of a sequence's prompt.</summary>
    public void SetPromptLogprobs(int index, (IReadOnlyList<TokenLogprobs>? Logprobs, SequenceFailure? Failure) read) =>
        _entries[index] = _entries[index] with { PromptLogprobs = read.Logprobs, Failure = read.Failure };

    /// <summary>Writes the result down. It refers to this step's memory, which the next use overwrites.</summary>
    public void WriteTo(StepResult result)
    {
        result.StepId = _stepId;
        result.Failure = Failure;
        result.Sequences.Clear();
        if (Failure is not null)
            return;
        var sampled = Sampled;
        foreach (var (id, promptLogprobs, failure, row) in _entries)
            result.Sequences.Add(new(id, row < 0 ? default : sampled.Slice(row, 1), promptLogprobs, failure));
    }

    /// <summary>Forgets the step.</summary>
    public void Clear()
    {
        Failure = null;
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

    // A sequence of the step; row: of its sampled token, or -1.
    private readonly record struct Entry(long SequenceId, IReadOnlyList<TokenLogprobs>? PromptLogprobs, SequenceFailure? Failure, int Row);

    private void Resolve(IDeviceOps ops)
    {
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
}
