using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>What an executor stores of a step until its result is read. Reused; in steady state it allocates nothing.</summary>
internal sealed class SubmittedStep : IDisposable
{
    private readonly List<Entry> _entries = [];
    private readonly List<SamplingState> _states = [];
    private readonly List<int> _outputPositions = [];
    private readonly List<int> _places = []; // each row's place among those with whole logits, or -1 if its best token is taken
    private int _numWhole;
    private readonly List<int> _open = []; // entries whose next row is to be sampled
    private readonly SamplingBatch _batch = new();
    private SampledToken[] _sampled = [];
    private int[] _ids = [];
    private bool _isResolved;
    private long _stepId;

    /// <summary>Why the step failed, once it has.</summary>
    public StepFailure? Failure { get; set; }

    /// <summary>Whether any sequence has drafts.</summary>
    public bool HasDrafts { get; private set; }

    /// <summary>Whether the device is choosing the tokens.</summary>
    public bool IsSampling { get; set; }

    /// <summary>Starts with the sequences of a step.</summary>
    public void Begin(SchedulerOutput step)
    {
        _stepId = step.StepId;
        foreach (var sequence in step.Sequences)
            _entries.Add(new(sequence.SequenceId, null, null, -1, default, 0, []));
    }

    /// <summary>Adds a sequence's rows whose tokens are chosen: one for its last known token, and one for each draft.</summary>
    /// <param name="index">The sequence's index in the step.</param>
    /// <param name="state">How tokens are chosen.</param>
    /// <param name="outputPosition">The first token's index in the output.</param>
    /// <param name="drafts">The drafts; must stay valid until the step's result is reported.</param>
    /// <param name="takesBest">Whether the best tokens are taken without the rows' logits.</param>
    public void AddSamples(int index, SamplingState state, int outputPosition, ReadOnlyMemory<int> drafts, bool takesBest)
    {
        _entries[index] = _entries[index] with { Row = _states.Count, Drafts = drafts };
        HasDrafts |= !drafts.IsEmpty;
        for (var i = 0; i <= drafts.Length; i++)
        {
            _states.Add(state);
            _outputPositions.Add(outputPosition + i);
            _places.Add(takesBest ? -1 : _numWhole++);
        }
    }

    /// <summary>
    /// Samples on the host, and appends each token to its sequence's state. Samples all first rows in parallel, then the second rows of
    /// those sequences whose first draft was right, and so on. Each row is sampled by a state that has the tokens before it, exactly as
    /// without drafts.
    /// </summary>
    /// <param name="sampler">The sampler.</param>
    /// <param name="logits">[rows that need logits, vocabulary] on the host; null: no such rows.</param>
    /// <param name="best">The best token of each row, or <see cref="ITokenSampler.NonFiniteRow"/>; empty: no row takes it.</param>
    public unsafe void SampleOnHost(Sampler sampler, float* logits, ReadOnlySpan<int> best)
    {
        _isResolved = true;
        best.CopyTo(Ids);
        var sampled = Sampled;
        var address = (nint)logits;
        for (var i = 0; i < _entries.Count; i++)
        {
            if (_entries[i].Row >= 0)
                _open.Add(i);
        }

        while (_open.Count > 0)
        {
            // Prepare masks one after the other, because sequences may share a grammar.
            foreach (var index in _open)
                _states[_entries[index].Row].PrepareMask();
            if (_open.Count == 1)
                SampleRow(0);
            else
                CpuParallel.For(_open.Count, SampleRow);
            _open.RemoveAll(index => !TryTake(index));
        }

        void SampleRow(int i)
        {
            var entry = _entries[_open[i]];
            var row = entry.Row + entry.NumSampled;
            sampled.Span[row] = _places[row] is var place and >= 0
                ? sampler.SampleRow(new((float*)address + ((nint)place * sampler.VocabularySize), sampler.VocabularySize), _states[row])
                : TokenOf(Ids[row], _states[row]);
        }
    }

    /// <summary>How the device is to sample: one entry for each sampled row that needs logits.</summary>
    public SamplingBatch Batch()
    {
        _batch.Clear();
        for (var i = 0; i < _states.Count; i++)
        {
            if (_places[i] < 0)
                continue;
            DeviceSampling.Add(_batch, _states[i], _outputPositions[i]);
            _batch.Rows.Add(i);
        }

        return _batch;
    }

    /// <summary>
    /// Waits for tokens that the device is choosing, and appends each to its sequence's state. Only the first call does so.
    /// </summary>
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

    /// <summary>Stores the log-probabilities of a sequence's prompt.</summary>
    public void SetPromptLogprobs(int index, (IReadOnlyList<TokenLogprobs>? Logprobs, SequenceFailure? Failure) read) =>
        _entries[index] = _entries[index] with { PromptLogprobs = read.Logprobs, Failure = read.Failure };

    /// <summary>The tokens chosen for a sequence; empty: none, or not known on this rank.</summary>
    public ReadOnlySpan<SampledToken> SampledOf(int index) =>
        _entries[index] is { Row: >= 0 } entry ? Sampled.Span.Slice(entry.Row, entry.NumSampled) : [];

    /// <summary>Adds a draft after a sequence's tokens.</summary>
    public void AddDraft(int index, int tokenId) => _entries[index] = _entries[index] with { Predicted = [.. _entries[index].Predicted, tokenId] };

    /// <summary>Writes the result. It refers to this object's memory, which the next use overwrites.</summary>
    public void WriteTo(StepResult result)
    {
        result.StepId = _stepId;
        result.Failure = Failure;
        result.Sequences.Clear();
        if (Failure is not null)
            return;
        var sampled = Sampled;
        foreach (var (id, promptLogprobs, failure, row, _, numSampled, predicted) in _entries)
            result.Sequences.Add(new(id, row < 0 ? default : sampled.Slice(row, numSampled), promptLogprobs, failure, predicted));
    }

    /// <summary>Clears the step.</summary>
    public void Clear()
    {
        Failure = null;
        _entries.Clear();
        _states.Clear();
        _outputPositions.Clear();
        _places.Clear();
        _numWhole = 0;
        _open.Clear();
        HasDrafts = IsSampling = false;
        _isResolved = false;
    }

    /// <inheritdoc/>
    public void Dispose() => _batch.Dispose();

    private Memory<SampledToken> Sampled => Grown(ref _sampled);

    private Span<int> Ids => Grown(ref _ids).Span;

    private Memory<T> Grown<T>(ref T[] array)
    {
        if (array.Length < _states.Count)
            array = new T[Math.Max(_states.Count, 2 * array.Length)];
        return array.AsMemory(0, _states.Count);
    }

    private static SampledToken TokenOf(int id, SamplingState state) => id switch
    {
        ITokenSampler.NonFiniteRow => SampledToken.Failed(SampleError.NonFiniteLogits),
        ITokenSampler.NoTokenAllowed => SampledToken.Failed(SampleError.NoTokenAllowed, state.GrammarFailure),
        _ => new(id),
    };

    // A sequence of the step. Row: its first sampled row, or -1. NumSampled: number of tokens that count. Predicted: drafts of the tokens
    // after them.
    private readonly record struct Entry(
        long SequenceId, IReadOnlyList<TokenLogprobs>? PromptLogprobs, SequenceFailure? Failure, int Row, ReadOnlyMemory<int> Drafts, int NumSampled, int[] Predicted);

    // Takes an entry's next token. False: it is the last one, because it differs from the draft that the next row assumes, or ends the
    // output.
    private bool TryTake(int index)
    {
        var entry = _entries[index];
        var (token, state) = (Sampled.Span[entry.Row + entry.NumSampled], _states[entry.Row]);
        _entries[index] = entry with { NumSampled = entry.NumSampled + 1 };
        if (token.Error != SampleError.None)
            return false;
        state.Append(token.TokenId);
        return entry.NumSampled < entry.Drafts.Length && token.TokenId == entry.Drafts.Span[entry.NumSampled]
            && StopChecker.Check(state.Sampling, token.TokenId, state.OutputLength, promptLength: 0, int.MaxValue) is null;
    }

    private void Resolve(IDeviceOps ops)
    {
        var sampled = Sampled.Span;
        if (IsSampling)
        {
            var ids = Ids;
            ops.Features.TokenSampler!.EndSample(ids);
            for (var i = 0; i < ids.Length; i++)
                sampled[i] = TokenOf(ids[i], _states[i]);
        }

        for (var i = 0; i < _entries.Count; i++)
        {
            while (_entries[i].Row >= 0 && TryTake(i))
            {
                // The device has already chosen the next row's token.
            }
        }
    }
}
