using LocalLlm.KvCache;

namespace LocalLlm.Scheduling;

/// <summary>
/// vLLM V1's scheduler. It has no prefill and decode phases: each step computes tokens of sequences that have more known than computed
/// tokens, under one token budget. Not thread-safe; the engine loop owns it.
/// </summary>
/// <remarks>
/// The loop is <see cref="Schedule"/> → submit → complete → <see cref="Update"/>. Steps may overlap (in pipeline stages, or to keep a
/// device busy): several may be scheduled before the first is reported back, but they are reported in order. A sequence may end while a
/// step that writes its blocks is in flight. Its blocks are then released exactly once, when the last such step is reported.
/// Progress: <see cref="Add(Sequence)"/> refuses a sequence that could never fit, and no sequence is preempted for one that comes later
/// in the order of service. So the first always finishes, then the next.
/// Data-parallel groups: each has its own KV cache and its own limits of a step. There is one order of service. A sequence goes to the
/// group with the least work for it and stays there, even after a preemption. Progress holds in each group.
/// </remarks>
internal sealed partial class Scheduler
{
    private readonly SchedulerOptions _options;
    private readonly SchedulingGroup[] _groups;
    private readonly TimeProvider _time;
    private readonly WaitingQueue _waiting;
    private readonly List<Sequence> _draining = []; // finished, but a step in flight may still write their blocks
    private readonly Dictionary<long, Sequence> _sequences = []; // waiting, running, draining
    private long _arrivals;
    private long _numPreemptions;
    private long _prefixQueries;
    private long _prefixHits;
    private readonly DraftCounts? _drafts;

    /// <summary>Creates a scheduler over an unused KV cache.</summary>
    /// <exception cref="EngineException">An option is out of range.</exception>
    public Scheduler(SchedulerOptions options, KvCacheManager kvCache, TimeProvider? time = null)
        : this(options, [kvCache], time)
    {
    }

    /// <summary>Creates a scheduler over unused KV caches of one size, one for each data-parallel group.</summary>
    /// <exception cref="EngineException">An option is out of range.</exception>
    public Scheduler(SchedulerOptions options, IReadOnlyList<KvCacheManager> kvCaches, TimeProvider? time = null)
    {
        options.Validate();
        _options = options;
        _groups = [.. kvCaches.Select((kvCache, index) => new SchedulingGroup(index, kvCache))];
        _time = time ?? TimeProvider.System;
        _waiting = new WaitingQueue(options.Policy);
        _drafts = options.MaxDrafts > 0 ? new(options.MaxDrafts) : null;
    }

    /// <summary>Number of admitted sequences.</summary>
    public int NumRunning
    {
        get
        {
            var count = 0;
            foreach (var group in _groups)
                count += group.Running.Count;
            return count;
        }
    }

    /// <summary>Number of queued sequences, preempted ones included.</summary>
    public int NumWaiting => _waiting.Count;

    /// <summary>Number of steps that were scheduled and not reported back.</summary>
    public int NumStepsInFlight => _inFlight.Count;

    /// <summary>Whether any sequence is not finished.</summary>
    public bool HasUnfinished => _waiting.Count > 0 || NumRunning > 0;

    /// <summary>The current figures.</summary>
    public SchedulerStats Stats =>
        new(NumRunning, NumWaiting, Usage(), _numPreemptions, _prefixQueries, _prefixHits, _drafts?.ToStatistics(), _expertBalance);

    /// <summary>Queues a sequence.</summary>
    /// <exception cref="EngineException">
    /// InvalidRequest or ContextLengthExceeded if it can never run; Overloaded if the queue is full. Nothing has changed in either case.
    /// </exception>
    public void Add(Sequence sequence) => AddGroup([sequence]);

    /// <summary>Queues the sequences of one request (n &gt; 1): all of them, or none if one is refused.</summary>
    /// <inheritdoc cref="Add(Sequence)" path="/exception"/>
    public void AddGroup(params ReadOnlySpan<Sequence> group)
    {
        for (var i = 0; i < group.Length; i++)
        {
            RefuseWhatCannotRun(group[i]);
            foreach (var earlier in group[..i])
            {
                if (earlier.Id == group[i].Id)
                    throw InUse(group[i]);
            }
        }

        if (_options.MaxNumWaiting is { } limit && _waiting.Count + group.Length > limit)
        {
            throw group.Length > limit
                ? EngineException.InvalidRequest(
                    "n",
                    $"the request has {group.Length} sequences but the queue holds at most {limit}; lower n")
                : new EngineException(
                    EngineErrorKind.Overloaded,
                    $"the queue holds {_waiting.Count} sequences and its limit is {limit}, " +
                    $"so {group.Length} more cannot wait; try again later");
        }

        foreach (var sequence in group)
        {
            _sequences.Add(sequence.Id, sequence);
            sequence.ArrivalOrder = _arrivals++;
            sequence.ArrivalTimestamp = _time.GetTimestamp();
            _waiting.Add(sequence);
        }
    }

    /// <summary>Ends a sequence whose caller has left. Its blocks are released at once, or when the step in flight is reported.</summary>
    /// <returns>False if the scheduler has no such sequence.</returns>
    public bool Abort(long sequenceId)
    {
        if (!_sequences.TryGetValue(sequenceId, out var sequence) || sequence.State == SequenceState.Finished)
            return false;
        Finish(sequence, FinishReason.Abort);
        return true;
    }

    /// <summary>
    /// Ends a sequence; without effect if it has already ended. With <see cref="FinishReason.Error"/> its blocks also leave the
    /// prefix cache, so that a bad value in them reaches no other sequence.
    /// </summary>
    public void Finish(Sequence sequence, FinishReason reason)
    {
        if (sequence.State == SequenceState.Finished)
            return;
        if (!_sequences.TryGetValue(sequence.Id, out var known) || known != sequence)
            throw new EngineException(EngineErrorKind.EngineDead, $"sequence {sequence.Id} was finished but never added to this scheduler");

        if (sequence.State == SequenceState.Running)
            sequence.Group!.Running.Remove(sequence);
        else
            _waiting.Remove(sequence);
        if (sequence.IsAnnounced)
            _finishedIds.Add(sequence.Id);
        sequence.State = SequenceState.Finished;
        sequence.Drafter = null; // frees its index, which is as large as the text
        sequence.FinishReason = reason;
        sequence.FinishedTimestamp = _time.GetTimestamp();
        if (reason == FinishReason.Error)
            sequence.Group?.KvCache.Distrust(sequence.Blocks);
        if (sequence.NumInFlightSteps == 0)
            Release(sequence);
        else
            _draining.Add(sequence);
    }

    /// <summary>Ends every sequence, at shutdown.</summary>
    /// <returns>The sequences that ended, in order of arrival.</returns>
    public IReadOnlyList<Sequence> FinishAll(FinishReason reason)
    {
        Sequence[] all = [.. Running.Concat(_waiting.All()).OrderBy(s => s.ArrivalOrder)];
        foreach (var sequence in all)
            Finish(sequence, reason);
        return all;
    }

    /// <summary>Drops all cached prefixes; running sequences continue.</summary>
    public void ResetPrefixCache()
    {
        foreach (var group in _groups)
            group.KvCache.ResetPrefixCache();
    }

    private double Usage()
    {
        var sum = 0.0;
        foreach (var group in _groups)
            sum += group.KvCache.Usage;
        return sum / _groups.Length;
    }

    private IEnumerable<Sequence> Running => _groups.SelectMany(group => group.Running);

    private void Release(Sequence sequence)
    {
        sequence.Group?.KvCache.Free(sequence.Blocks);
        _sequences.Remove(sequence.Id);
    }

    private static EngineException InUse(Sequence sequence) =>
        EngineException.InvalidRequest("request_id", $"the sequence id {sequence.Id} is in use; ids of live sequences must differ");

    private void RefuseWhatCannotRun(Sequence sequence)
    {
        if (_sequences.ContainsKey(sequence.Id) || sequence.State != SequenceState.Waiting)
            throw InUse(sequence);
        if (sequence.NumPromptTokens == 0)
            throw EngineException.InvalidRequest("prompt", "the prompt has 0 tokens; it must have at least 1");
        if (sequence.MaxTokens < 1)
            throw EngineException.InvalidRequest("max_tokens", $"max_tokens is {sequence.MaxTokens}; it must be at least 1");
        if (sequence.PromptTokenIds.ContainsAnyInRange(int.MinValue, -1))
            throw EngineException.InvalidRequest("prompt", "the prompt holds a negative token id; ids start at 0");
        if (sequence.NumPromptTokens >= _options.MaxModelLen)
        {
            throw new EngineException(
                EngineErrorKind.ContextLengthExceeded,
                $"the prompt has {sequence.NumPromptTokens} tokens but the context is {_options.MaxModelLen} " +
                "and must also hold at least 1 output token; shorten the prompt",
                "prompt");
        }

        var kvCache = _groups[0].KvCache;
        var most = (int)long.Min((long)sequence.NumPromptTokens + sequence.MaxTokens, _options.MaxModelLen);
        if (kvCache.BlocksFor(most) > kvCache.NumBlocks)
        {
            throw new EngineException(
                EngineErrorKind.ContextLengthExceeded,
                $"the prompt of {sequence.NumPromptTokens} tokens and its output may take {most} tokens = {kvCache.BlocksFor(most)} " +
                $"KV blocks but the whole KV cache has {kvCache.NumBlocks} blocks = {(long)kvCache.NumBlocks * kvCache.BlockSize} tokens; " +
                "shorten the prompt or lower max_tokens",
                "max_tokens");
        }
    }
}
