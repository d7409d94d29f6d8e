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
    private readonly List<int> _rows = [];
    private readonly List<SamplingState> _rowStates = [];
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
    public bool IsPromptSpecific(int promptLength) => _model.Rotary.IsPromptSpecific(promptLength);

    /// <summary>Forgets a sequence; also done for every <see cref="SchedulerOutput.FinishedIds"/>.</summary>
    public void RemoveSequence(long id) => _sequences.Remove(id);

    /// <summary>Computes a step and samples. The results are valid until the next call.</summary>
    public IReadOnlyList<SequenceResult> Execute(SchedulerOutput step)
    {
        foreach (var id in step.FinishedIds)
            RemoveSequence(id);

        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var hidden = _runner.Forward(step); // [tokens, hidden], or null
        var sampled = Sample(step, hidden);

        _results.Clear();
        var (firstRow, nextSample) = (0, 0);
        foreach (var sequence in step.Sequences)
        {
            var token = sequence.SamplesToken ? sampled[nextSample++] : (SampledToken?)null;
            if (token is { Error: SampleError.None } good)
                _sequences[sequence.SequenceId].State.Append(good.TokenId);
            var (promptLogprobs, failure) = sequence.NeedsPromptLogits ? PromptLogprobs(sequence, hidden!, firstRow) : (null, null);
            _results.Add(new(sequence.SequenceId, token, promptLogprobs, failure));
            firstRow += sequence.TokenIds.Length;
        }

        return _results;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _runner.Dispose();
        foreach (var cache in _caches)
            cache.Dispose();
        _model.Dispose();
        (_ops as IDisposable)?.Dispose();
    }

    private SampledToken[] Sample(SchedulerOutput step, Tensor? hidden)
    {
        _rows.Clear();
        _rowStates.Clear();
        var row = -1;
        foreach (var sequence in step.Sequences)
        {
            row += sequence.TokenIds.Length;
            if (!sequence.SamplesToken)
                continue;
            _rows.Add(row);
            _rowStates.Add(_sequences[sequence.SequenceId].State);
        }

        if (_rows.Count == 0)
            return [];
        var logits = _runner.ComputeLogits(hidden, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rows));
        var results = new SampledToken[_rows.Count];
        if (_ops.SamplesTokens && _rowStates.TrueForAll(IsPlain))
        {
            SampleOnDevice(logits, results);
            return results;
        }

        logits = logits.to(float32).cpu();
        _sampler.Sample((float*)logits.DataPointer(), _sampler.VocabularySize, _rowStates.ToArray(), results, CpuParallel.For);
        return results;
    }

    // What a device can choose by itself: the largest logit, or a draw from the whole distribution.
    private static bool IsPlain(SamplingState state) =>
        state.Sampling is { Logprobs: null } sampling
        && (sampling.IsGreedy || sampling is { TopK: <= 0, TopP: >= 1, MinP: <= 0 })
        && !LogitsProcessors.AreActive(state);

    private void SampleOnDevice(Tensor logits, SampledToken[] results)
    {
        var draws = new TokenDraw[results.Length];
        for (var i = 0; i < draws.Length; i++)
            draws[i] = _rowStates[i].Sampling.IsGreedy ? default : new(_rowStates[i].NextUniform, 1 / _rowStates[i].Sampling.Temperature);
        var ids = new int[results.Length];
        _ops.Sample(logits, draws, ids);
        for (var i = 0; i < ids.Length; i++)
            results[i] = ids[i] < 0 ? SampledToken.Failed(SampleError.NonFiniteLogits) : new SampledToken(ids[i]);
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
