using LocalLlm.Interop;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Sampling;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// One device: its model, its KV cache, and the sampling state of every sequence that it was told of. All calls come from one thread.
/// Owns the model and the caches.
/// </summary>
internal sealed unsafe class Worker : IDisposable
{
    // Logits of a long prompt are read in slices of this many rows, so that they never all exist at once.
    public const int PromptLogitsRows = 64;

    private readonly ICausalLanguageModel _model;
    private readonly IDeviceOps _ops;
    private readonly IReadOnlyList<KvLayerCache> _caches;
    private readonly ModelRunner _runner;
    private readonly Sampler _sampler;
    private readonly Dictionary<long, WorkerSequence> _sequences = [];
    private readonly Dictionary<long, int> _sampledRows = []; // of the step launched last
    private readonly List<int> _rows = [];
    private readonly Queue<LaunchedStep> _launched = []; // oldest first
    private readonly Stack<LaunchedStep> _spare = [];
    private readonly List<SequenceResult> _results = [];

    /// <summary>Takes over the model, its caches, the device's operations and its recorded steps.</summary>
    public Worker(ICausalLanguageModel model, IDeviceOps ops, IReadOnlyList<KvLayerCache> caches, DecodeGraphs? graphs, LogprobsMode logprobsMode)
    {
        _model = model;
        _ops = ops;
        _caches = caches;
        _runner = new(model, ops, caches, graphs);
        _sampler = new(model.VocabularySize, logprobsMode);
    }

    /// <summary>Makes a sequence known before its first step.</summary>
    /// <param name="id">Its id in every step.</param>
    /// <param name="state">How its tokens are chosen; owned by the worker from here on.</param>
    /// <param name="promptTokenIds">Its prompt, whose log-probabilities may be asked for.</param>
    public void AddSequence(long id, SamplingState state, ReadOnlyMemory<int> promptTokenIds) => _sequences.Add(id, new(state, promptTokenIds));

    /// <summary>Whether the keys of a prompt of this length fit only prompts of the very same length (a dynamic rope past its trained context).</summary>
    public bool IsPromptSpecific(int promptLength) => promptLength > _model.PromptLengthThreshold;

    /// <summary>Forgets a sequence; also done for every <see cref="SchedulerOutput.FinishedIds"/>.</summary>
    public void RemoveSequence(long id) => _sequences.Remove(id);

    /// <summary>
    /// Whether the step launched last leaves its tokens on the device, so that the next one can be launched before it is complete. Then
    /// tokens that it samples are <see cref="ScheduledSequence.UnknownToken"/> there.
    /// </summary>
    public bool RunsAhead { get; private set; }

    /// <summary>Starts a step; <see cref="Complete"/> gives its results. One may be launched ahead of another that is not complete.</summary>
    public void Launch(SchedulerOutput step)
    {
        foreach (var id in step.FinishedIds)
            RemoveSequence(id);

        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var launched = _spare.TryPop(out var used) ? used : new LaunchedStep();
        try
        {
            RunsAhead = false;
            var hidden = _runner.Forward(step, _sampledRows); // [tokens, hidden], or null
            launched.Begin(step);
            Sample(step, hidden, launched);
            ReadPromptLogprobs(step, hidden, launched);
        }
        catch
        {
            launched.Clear();
            _spare.Push(launched);
            throw;
        }

        _launched.Enqueue(launched);
    }

    /// <summary>Waits for the oldest step under way. The results, in the order of the step, are valid until the next call.</summary>
    public IReadOnlyList<SequenceResult> Complete()
    {
        var launched = _launched.Dequeue();
        try
        {
            launched.Resolve(_ops);
            var sampled = launched.Sampled.Span;
            _results.Clear();
            var nextSample = 0;
            foreach (var (id, samples, promptLogprobs, failure) in launched.Entries)
            {
                _results.Add(new(id, samples ? sampled[nextSample++] : null, promptLogprobs, failure));
            }

            return _results;
        }
        finally
        {
            launched.Clear();
            _spare.Push(launched);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var step in _launched.Concat(_spare))
            step.Dispose();
        _runner.Dispose();
        foreach (var cache in _caches)
            cache.Dispose();
        _model.Dispose();
        (_ops as IDisposable)?.Dispose();
    }

    private void Sample(SchedulerOutput step, Tensor? hidden, LaunchedStep launched)
    {
        _rows.Clear();
        _sampledRows.Clear();
        var (row, onDevice, needsHistory) = (-1, _ops.Features.TokenSampler is not null, false);
        foreach (var sequence in step.Sequences)
        {
            row += sequence.TokenIds.Length;
            onDevice &= !sequence.NeedsPromptLogits;
            if (!sequence.SamplesToken)
                continue;
            var state = _sequences[sequence.SequenceId].State;
            onDevice &= DeviceSampling.IsPossible(state);
            needsHistory |= DeviceSampling.NeedsHistory(state);
            _sampledRows.Add(sequence.SequenceId, _rows.Count);
            _rows.Add(row);
            launched.AddSample(state, sequence.FirstPosition + sequence.TokenIds.Length - sequence.PromptLength);
        }

        RunsAhead = onDevice && !needsHistory;
        if (_rows.Count == 0)
            return;
        var logits = _runner.ComputeLogits(hidden, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rows));
        if (onDevice)
        {
            _ops.Features.TokenSampler!.BeginSample(logits, launched.Batch());
            launched.IsSampling = true;
            return;
        }

        // The host draws by what each sequence has so far, so the tokens of the step before must be known.
        foreach (var earlier in _launched)
            earlier.Resolve(_ops);

        // Rows are sampled in parallel, and sequences may share a grammar.
        foreach (var state in launched.States)
            state.PrepareMask();
        logits = logits.narrow(0, 0, _rows.Count).to(float32).cpu();
        _sampler.Sample((float*)logits.DataPointer(), _sampler.VocabularySize, launched.States.ToArray(), launched.Sampled, CpuParallel.For);
    }

    private void ReadPromptLogprobs(SchedulerOutput step, Tensor? hidden, LaunchedStep launched)
    {
        var firstRow = 0;
        for (var i = 0; i < step.Sequences.Count; i++)
        {
            var sequence = step.Sequences[i];
            if (sequence.NeedsPromptLogits)
                launched.SetPromptLogprobs(i, PromptLogprobs(sequence, hidden!, firstRow));
            firstRow += sequence.TokenIds.Length;
        }
    }

    // The logits of position p judge the prompt's token p + 1; those of its last token belong to the first output.
    private (IReadOnlyList<TokenLogprobs>? Logprobs, EngineException? Failure) PromptLogprobs(in ScheduledSequence sequence, Tensor hidden, int firstRow)
    {
        var (state, prompt) = _sequences[sequence.SequenceId];
        var start = Math.Min(prompt.Length, sequence.FirstPosition + 1);
        var nextTokens = prompt[start..Math.Min(prompt.Length, start + sequence.TokenIds.Length)].Span;
        if (state.Sampling.PromptLogprobs is not { } count || nextTokens.IsEmpty)
            return (null, null);
        var logprobs = new List<TokenLogprobs>(nextTokens.Length);
        for (var first = 0; first < nextTokens.Length; first += PromptLogitsRows)
        {
            using var scope = NewDisposeScope();
            var rows = Enumerable.Range(firstRow + first, Math.Min(PromptLogitsRows, nextTokens.Length - first)).ToArray();
            var logits = _runner.ComputeLogits(hidden, rows).to(float32).cpu();
            var pointer = (float*)logits.DataPointer();
            for (var i = 0; i < rows.Length; i++)
            {
                try
                {
                    logprobs.Add(_sampler.PromptLogprobs(new(pointer + ((long)i * _sampler.VocabularySize), _sampler.VocabularySize), nextTokens[first + i], count));
                }
                catch (EngineException failure)
                {
                    return (null, failure);
                }
            }
        }

        return (logprobs, null);
    }

    private readonly record struct WorkerSequence(SamplingState State, ReadOnlyMemory<int> Prompt);
}
