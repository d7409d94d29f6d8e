using System.Runtime.InteropServices;
using LocalLlm.Grammars;
using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Executes on one device of this process, with the model, its KV cache and the sampling state of every sequence of its data-parallel
/// group. All calls come from the thread that owns the device.
/// </summary>
internal sealed unsafe partial class LocalExecutor : IStepExecutor
{
    // Logits of a long prompt are read in slices of this many rows, so that all of them never exist at once.
    public const int PromptLogitsRows = 64;

    // Steps between two reads of the expert counts of a busy device.
    private const int StepsOfUsage = 64;

    private readonly ICausalLanguageModel _model;
    private readonly IDeviceOps _ops;
    private readonly RankContext _rank;
    private readonly bool _choosesTokens;
    private readonly IReadOnlyList<KvLayerCache> _caches;
    private readonly ResponseGrammars? _grammars;
    private readonly ModelRunner _runner;
    private readonly Sampler _sampler;
    private readonly LogitsGather _gather;
    private readonly Dictionary<long, ExecutorSequence> _sequences = [];
    private readonly SampledTokens _tokens;
    private readonly List<int> _rows = []; // the step's tokens whose logits choose a token
    private readonly List<int> _wholeRows = []; // those of _rows whose logits are gathered whole
    private readonly Queue<SubmittedStep> _submitted = []; // oldest first
    private readonly Stack<SubmittedStep> _spare = [];
    private readonly StepResult _result = new();
    private readonly TokenPrediction? _prediction;
    private readonly StepPart? _part; // null: only one data-parallel group
    private readonly ILogger? _logger;
    private int _stepsUnread;
    private bool _usageFailed;

    /// <summary>Takes over the model, its caches, the device's operations and its recorded steps.</summary>
    /// <param name="model">The model.</param>
    /// <param name="ops">The model's device.</param>
    /// <param name="rank">Its place among the ranks.</param>
    /// <param name="caches">One cache for each attention layer.</param>
    /// <param name="graphs">Recorded decode steps; null: none.</param>
    /// <param name="tokens">Keeps sampled tokens that the host does not know yet.</param>
    /// <param name="logprobsMode">What log-probabilities are computed from.</param>
    /// <param name="plan">The measured memory plan.</param>
    /// <param name="grammars">Compiles the grammars of new sequences, with a cache shared with the validation of requests; null without
    /// a tokenizer.</param>
    /// <param name="maxPredicted">Max number of drafts from the model's own layers for a sequence; 0: none.</param>
    /// <param name="logger">Receives failures outside of steps; null: no log.</param>
    public LocalExecutor(
        ICausalLanguageModel model,
        IDeviceOps ops,
        RankContext rank,
        IReadOnlyList<KvLayerCache> caches,
        DecodeGraphs? graphs,
        SampledTokens tokens,
        LogprobsMode logprobsMode,
        MemoryPlan plan,
        ResponseGrammars? grammars,
        int maxPredicted,
        ILogger? logger)
    {
        _model = model;
        _ops = ops;
        _rank = rank;
        _caches = caches;
        _tokens = tokens;
        _grammars = grammars;
        _logger = logger;
        _part = rank.Plan.DataParallel == 1 ? null : new(rank.Place.Group, rank.Plan.DataParallel);
        _runner = new(model, ops, caches, graphs, _part?.Rows);
        _sampler = new(model.VocabularySize, logprobsMode);
        _gather = new(rank.Tensor, ops, model.VocabularySize);
        _prediction = model.Predictor is null ? null : new(model, ops, rank.Tensor, _gather, maxPredicted, plan.MaxModelLen);
        var samplesTokens = ops.Features.TokenSampler is not null;
        // Devices that choose tokens all choose the same ones, so each of them has its next inputs.
        _choosesTokens = model.GivesLogits && (samplesTokens || rank.Tensor.Rank == 0);
        Capabilities = new()
        {
            // One step in each stage, and one that waits for the first stage.
            MaxStepsInFlight = samplesTokens ? rank.Plan.PipelineParallel + 1 : 1,
            FeedsSampledTokens = tokens.AreFed,
            PromptLengthThreshold = model.PromptLengthThreshold,
            StepTimeout = ops.Features.Memory is null ? null : StepTimeouts.Device,
            Plan = plan,
        };
    }

    /// <inheritdoc/>
    public ExecutorCapabilities Capabilities { get; }

    /// <inheritdoc/>
    public bool Submit(SchedulerOutput step)
    {
        step = _part?.Of(step) ?? step;
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var submitted = _spare.TryPop(out var used) ? used : new SubmittedStep();
        submitted.Begin(step);
        _submitted.Enqueue(submitted);
        try
        {
            if (_choosesTokens)
                UpdateSequences(step);
            _tokens.Receive(step);
            var hidden = _runner.Forward(step, _tokens); // [tokens, hidden], or null
            _tokens.Note(step);
            if (_model.GivesLogits)
            {
                Sample(step, hidden, submitted);
                ReadPromptLogprobs(step, hidden, submitted);
                Predict(step, hidden, submitted);
            }

            _model.EndStep();
        }
        catch (Exception failure) when (_rank.Plan.WorldSize == 1)
        {
            submitted.Failure ??= StepFailure.From(failure);
        }

        return submitted.Failure is null;
    }

    /// <inheritdoc/>
    public StepResult Complete()
    {
        var submitted = _submitted.Dequeue();
        submitted.TryResolve(_ops);
        submitted.WriteTo(_result);
        // If no step is in flight, read the newest counts; if the device is ahead, read them only now and then.
        if (submitted.Failure is null && !_usageFailed && (_submitted.Count == 0 || ++_stepsUnread >= StepsOfUsage))
            ReadExpertUsage();
        if (_ops.Features.Memory?.TakeGrowth() is { } grown && _logger is not null)
            LogGrown(_logger, grown);
        _result.ExpertBalance = _usageFailed ? null : _model.ExpertBalance;
        submitted.Clear();
        _spare.Push(submitted);
        return _result;
    }

    /// <inheritdoc/>
    public void Abort(Exception reason) => _rank.Abort(reason);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var step in _submitted.Concat(_spare))
            step.Dispose();
        _runner.Dispose();
        _prediction?.Dispose();
        foreach (var cache in _caches)
            cache.Dispose();
        _model.Dispose();
        _rank.Dispose();
        (_ops as IDisposable)?.Dispose();
    }

    // A failing metric must not end a request: if the device has failed, the next step reports it.
    private void ReadExpertUsage()
    {
        _stepsUnread = 0;
        try
        {
            _model.ReadExpertUsage();
        }
        catch (Exception failure)
        {
            _usageFailed = true;
            if (_logger is not null)
                LogUsageFailed(_logger, failure);
        }
    }

    [LoggerMessage(20, LogLevel.Warning, "Buffers of the device grew after loading ({Grown}): that memory was not planned for, and "
        + "recorded steps may have to be recorded anew. Please report it with the model's name and the engine's options.")]
    private static partial void LogGrown(ILogger logger, string grown);

    [LoggerMessage(17, LogLevel.Warning, "The device's counts of its experts' tokens could not be read; "
        + "how evenly experts are used is not known any more.")]
    private static partial void LogUsageFailed(ILogger logger, Exception failure);

    private void UpdateSequences(SchedulerOutput step)
    {
        foreach (var id in step.FinishedIds)
            _sequences.Remove(id);
        // The sequences of one request are adjacent and share their sampling parameters, so the grammar is compiled once.
        ValidatedSampling? sampling = null;
        (CompiledGrammar?, SequenceFailure?) grammar = default;
        foreach (var sequence in step.NewSequences)
        {
            if (sequence.Sampling != sampling)
                grammar = ExecutorSequence.Compile(sequence.Sampling.Grammar, _grammars);
            sampling = sequence.Sampling;
            _sequences.Add(sequence.Id, ExecutorSequence.Create(sequence, grammar));
        }
    }

    private void Sample(SchedulerOutput step, Tensor? hidden, SubmittedStep submitted)
    {
        _rows.Clear();
        _wholeRows.Clear();
        var row = -1;
        for (var i = 0; i < step.Sequences.Count; i++)
        {
            var sequence = step.Sequences[i];
            row += sequence.TokenIds.Length;
            var (state, _, failure) = _choosesTokens ? _sequences[sequence.SequenceId] : default;
            if (failure is not null)
                submitted.SetPromptLogprobs(i, (null, failure));
            if (!sequence.SamplesToken)
                continue;
            var takesBest = sequence.TakesBest && _gather.IsSplit; // one rank has the whole rows anyway
            for (var sampled = row - sequence.NumDrafts; sampled <= row; sampled++)
            {
                if (!takesBest)
                    _wholeRows.Add(_rows.Count);
                _rows.Add(sampled);
            }

            var outputPosition = sequence.FirstPosition + sequence.TokenIds.Length - sequence.NumDrafts - sequence.PromptLength;
            if (_choosesTokens)
                submitted.AddSamples(i, state, outputPosition, sequence.Drafts, takesBest);
        }

        if (_rows.Count == 0)
            return;
        var (logits, best) = Gather(_runner.ComputeLogits(hidden, CollectionsMarshal.AsSpan(_rows)));
        if (!_choosesTokens)
            return;
        if (_ops.Features.TokenSampler is { } sampler && !step.SamplesOnHost)
        {
            // There may be more rows than ever before, and the device's buffers may grow only while no step uses them.
            if (submitted.HasDrafts)
                ResolveEarlier(submitted);
            sampler.BeginSample(logits, submitted.Batch(), best);
            submitted.IsSampling = true;
            _tokens.Send(_rows.Count);
            return;
        }

        // Sampling on the host depends on the sequence's tokens so far, so the previous step's tokens must be known.
        ResolveEarlier(submitted);
        logits = logits?.narrow(0, 0, _wholeRows.Count).to(float32).cpu();
        best = best?.cpu();
        submitted.SampleOnHost(
            _sampler, logits is null ? null : (float*)logits.DataPointer(), best is null ? [] : new((int*)best.DataPointer(), _rows.Count));
    }

    // Collects from all ranks of the group what this rank needs: whole rows, and the best token of every row if any row needs only that.
    private (Tensor? Whole, Tensor? Best) Gather(Tensor logits)
    {
        if (!_gather.IsSplit)
            return (logits, null);
        logits = logits.narrow(0, 0, _rows.Count);
        if (_wholeRows.Count == _rows.Count)
            return (_gather.Whole(logits), null);
        var best = _gather.Best(logits);
        return (_wholeRows.Count == 0 ? null : _gather.Whole(_ops.SelectRows(logits, CollectionsMarshal.AsSpan(_wholeRows))), best);
    }

    private void ResolveEarlier(SubmittedStep submitted)
    {
        foreach (var earlier in _submitted)
        {
            if (earlier != submitted && !earlier.TryResolve(_ops))
                throw new InvalidOperationException("The step before, whose tokens this one needs, has failed.");
        }
    }

    // Drafts follow the step's tokens, which the device may still be choosing.
    private void Predict(SchedulerOutput step, Tensor? hidden, SubmittedStep submitted)
    {
        if (_prediction is null)
            return;
        ResolveEarlier(submitted);
        if (_choosesTokens && !submitted.TryResolve(_ops))
            throw new InvalidOperationException("The tokens of the step, which drafts follow, were not chosen.");
        _prediction.Run(step, hidden!, _runner.Context, submitted);
    }

    private void ReadPromptLogprobs(SchedulerOutput step, Tensor? hidden, SubmittedStep submitted)
    {
        var firstRow = 0;
        for (var i = 0; i < step.Sequences.Count; i++)
        {
            var sequence = step.Sequences[i];
            if (sequence.NeedsPromptLogits)
                submitted.SetPromptLogprobs(i, PromptLogprobs(sequence, hidden!, firstRow));
            firstRow += sequence.TokenIds.Length;
        }
    }

    // The logits of position p belong to the prompt's token p + 1; those of the last prompt token belong to the first output token. All
    // ranks that give logits compute the same slices, even if the rank that reads them has found a failure.
    private (IReadOnlyList<TokenLogprobs>? Logprobs, SequenceFailure? Failure) PromptLogprobs(in ScheduledSequence sequence, Tensor hidden, int firstRow)
    {
        var start = Math.Min(sequence.PromptLength, sequence.FirstPosition + 1);
        var count = Math.Min(sequence.PromptLength, start + sequence.TokenIds.Length) - start;
        if (count == 0)
            return (null, null);
        var (state, prompt, failure) = _choosesTokens ? _sequences[sequence.SequenceId] : default;
        var logprobs = new List<TokenLogprobs>(count);
        for (var first = 0; first < count; first += PromptLogitsRows)
        {
            using var scope = NewDisposeScope();
            var rows = Enumerable.Range(firstRow + first, Math.Min(PromptLogitsRows, count - first)).ToArray();
            if (_gather.Whole(_runner.ComputeLogits(hidden, rows).narrow(0, 0, rows.Length)) is { } logits && _choosesTokens && failure is null)
                failure = Judge(logits, prompt.Span.Slice(start + first, rows.Length), state.Sampling.PromptLogprobs!.Value, logprobs);
        }

        return failure is null && _choosesTokens ? (logprobs, null) : (null, failure);
    }

    private SequenceFailure? Judge(Tensor logits, ReadOnlySpan<int> tokens, int count, List<TokenLogprobs> logprobs)
    {
        var here = logits.to(float32).cpu();
        var pointer = (float*)here.DataPointer();
        for (var i = 0; i < tokens.Length; i++)
        {
            try
            {
                logprobs.Add(_sampler.PromptLogprobs(new(pointer + ((long)i * _sampler.VocabularySize), _sampler.VocabularySize), tokens[i], count));
            }
            catch (EngineException unsound)
            {
                return SequenceFailure.From(unsound);
            }
        }

        return null;
    }
}
