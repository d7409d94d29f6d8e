using LocalLlm.Execution;
using LocalLlm.KvCache;
using LocalLlm.Scheduling;
using LocalLlm.Tests.KvCache;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

/// <summary>What a <see cref="Simulation"/> runs with.</summary>
internal sealed record SimulationSetup
{
    public required SchedulerOptions Options { get; init; }

    public required int NumBlocks { get; init; }

    public int BlockSize { get; init; } = 16;

    public bool PrefixCaching { get; init; } = true;

    public int Vocabulary { get; init; } = 2;

    /// <summary>Data-parallel groups, each with a KV cache of <see cref="NumBlocks"/>.</summary>
    public int Groups { get; init; } = 1;

    /// <summary>Steps scheduled before the first is computed and reported.</summary>
    public int StepsInFlight { get; init; } = 1;

    /// <summary>
    /// Whether a step may depend on tokens that a step in flight samples, at most as many steps back as there are micro-batches.
    /// </summary>
    public bool RunAhead { get; init; }

    /// <summary>Chance per step (or call) of each disturbance.</summary>
    public double Abort { get; init; }

    public double FailedStep { get; init; }

    /// <summary>Max number of tokens of a sequence in a step; from 2 on, a step may also bring none.</summary>
    public int MaxTokens { get; init; } = 1;

    /// <summary>Max number of drafts of a sequence in a step; most of them are right.</summary>
    public int MaxDrafts { get; init; }

    public double NonFinite { get; init; }

    public double Throwing { get; init; }

    public double Reset { get; init; }

    /// <summary>The output ends on its own after about this many tokens; 0: never.</summary>
    public int StopEvery { get; init; }
}

/// <summary>
/// Drives a scheduler with the <see cref="PagedModel"/>: random arrivals and disturbances, integrity after every call, and
/// every output compared, token by token, with what the sequence generates alone.
/// </summary>
internal sealed class Simulation
{
    private readonly SimulationSetup _setup;
    private readonly Random _random;
    private readonly KvCacheManager[] _kvs; // of each group
    private readonly PagedModel[] _models;
    private readonly StepPart[] _parts;
    private readonly Dictionary<long, int> _groupOf = [];
    private readonly Dictionary<long, Sequence> _all = [];
    private readonly List<long> _live = [];
    private readonly Queue<SchedulerOutput> _inFlight = [];
    private readonly HashSet<long> _finished = [];
    private readonly HashSet<long> _announced = [];
    private readonly Dictionary<long, int> _stoppedAt = []; // output tokens up to the end of the text

    public Simulation(SimulationSetup setup, int seed)
    {
        _setup = setup;
        _random = new Random(seed);
        _kvs = [.. Enumerable.Range(0, setup.Groups).Select(_ => new KvCacheManager(setup.NumBlocks, setup.BlockSize, setup.PrefixCaching, new BlockHasher((ulong)seed)))];
        _models = [.. _kvs.Select(kv => new PagedModel(kv, setup.Vocabulary))];
        _parts = [.. Enumerable.Range(0, setup.Groups).Select(group => new StepPart(group, setup.Groups))];
        var options = setup.MaxDrafts == 0 ? setup.Options : setup.Options with { MaxDrafts = setup.MaxDrafts, CreateDrafter = () => new GuessingDrafter(_random, setup.Vocabulary) };
        Scheduler = new Scheduler(options, _kvs, new ManualTime());
    }

    public KvCacheManager Kv => _kvs[0];

    public PagedModel Model => _models[0];

    /// <summary>Steps with sequences of several groups.</summary>
    public int NumSharedSteps { get; private set; }

    public Scheduler Scheduler { get; }

    public int NumSteps { get; private set; }

    public int NumAborts { get; private set; }

    public int NumUnknownTokens { get; private set; }

    public int NumDraftedSteps { get; private set; }

    public IReadOnlyDictionary<long, Sequence> Sequences => _all;

    /// <summary>Adds the sequences, <paramref name="perStep"/> at a time on average, and runs until all have ended.</summary>
    public void Run(IEnumerable<Sequence> arrivals, double perStep = double.PositiveInfinity)
    {
        var pending = new Queue<Sequence>(arrivals);
        var idle = 0;
        var maxSteps = 1000 + pending.Sum(s => 2 * (s.NumPromptTokens + s.MaxTokens));
        while (pending.Count > 0 || Scheduler.HasUnfinished || _inFlight.Count > 0)
        {
            var due = double.IsPositiveInfinity(perStep) ? pending.Count : (int)(perStep * 2 * _random.NextDouble() + 0.5);
            for (; due > 0 && pending.TryDequeue(out var sequence); due--)
                Add(sequence);
            var before = NumSteps + _inFlight.Count;
            Step();
            idle = NumSteps + _inFlight.Count != before || !Scheduler.HasUnfinished ? 0 : idle + 1;
            Assert.True(idle < _setup.StepsInFlight + 2 && NumSteps <= maxSteps, $"no end after {NumSteps} steps, the last {idle} of them empty");
        }

        Assert.All(_kvs, kv => Assert.Equal(kv.NumBlocks, kv.NumFreeBlocks));
        Assert.Equal(_all.Count, _finished.Count);
        Assert.Equal(0, Scheduler.NumRunning + Scheduler.NumWaiting + Scheduler.NumStepsInFlight);
        Check();
    }

    public void Add(Sequence sequence)
    {
        _all.Add(sequence.Id, sequence);
        _live.Add(sequence.Id);
        Scheduler.Add(sequence);
        Check();
    }

    /// <summary>One turn of the loop: schedule, and report the oldest step if enough are in flight.</summary>
    public void Step()
    {
        MaybeAbort();
        var output = Scheduler.Schedule(_setup.RunAhead && _inFlight.Count > 0);
        Check();
        CheckStep(output);
        if (output.Sequences.Count > 0)
            _inFlight.Enqueue(output);
        MaybeAbort();
        if (_random.NextDouble() < _setup.Reset)
            Scheduler.ResetPrefixCache();
        if (_inFlight.Count >= _setup.StepsInFlight || output.Sequences.Count == 0)
            Report();
        Check();
    }

    // What the loop does with an update: the text may end a sequence with any of its new tokens, or fail.
    private void Handle(SequenceUpdate update)
    {
        var sequence = update.Sequence;
        var first = sequence.NumTokens - update.NumNewTokens;
        var salt = sequence.Blocks.CacheSalt;
        for (var i = first; i < sequence.NumTokens; i++)
        {
            var expected = PagedModel.NextToken(PrefixChain.Of(salt, sequence.TokenIds[..i]), _setup.Vocabulary);
            Assert.Equal(expected, sequence.TokenIds[i]);
            if (_random.NextDouble() < _setup.Throwing)
            {
                Scheduler.Finish(sequence, FinishReason.Error);
                break;
            }

            MaybeAbort();
            if (_finished.Contains(sequence.Id))
                return;
            if (!Stops(PrefixChain.Of(salt, sequence.TokenIds[..(i + 1)])))
                continue;
            _stoppedAt[sequence.Id] = i + 1 - sequence.NumPromptTokens;
            Scheduler.Finish(sequence, FinishReason.Stop);
            break;
        }

        if (sequence.FinishReason is not null && !_finished.Contains(sequence.Id))
            Ended(sequence);
    }

    private void Ended(Sequence sequence)
    {
        Assert.True(_finished.Add(sequence.Id), $"sequence {sequence.Id} finished twice");
        Assert.Equal(SequenceState.Finished, sequence.State);
        _live.Remove(sequence.Id);
        var limit = int.Min(sequence.MaxTokens, _setup.Options.MaxModelLen - sequence.NumPromptTokens);
        var alone = PagedModel.Generate(sequence.Blocks.CacheSalt, sequence.PromptTokenIds, limit, _setup.Vocabulary, Stops);
        if (_stoppedAt.TryGetValue(sequence.Id, out var length))
            Assert.Equal(alone, sequence.OutputTokenIds[..length].ToArray());
        else if (sequence.FinishReason is FinishReason.Length)
            Assert.Equal(alone, sequence.OutputTokenIds.ToArray());
        else
            Assert.Equal(alone[..int.Min(alone.Length, sequence.NumOutputTokens)], sequence.OutputTokenIds[..int.Min(alone.Length, sequence.NumOutputTokens)].ToArray());
    }

    private bool Stops(ulong prefix) => _setup.StopEvery > 0 && (prefix >> 8) % (uint)_setup.StopEvery == 0;

    private void Report()
    {
        if (!_inFlight.TryDequeue(out var step))
            return;
        NumSteps++;
        var roll = _random.NextDouble();
        if (roll < _setup.FailedStep)
        {
            foreach (var update in Scheduler.FailStep(step.StepId).ToArray())
                Ended(update.Sequence);
            return;
        }

        // The model computes as late as possible: by now, a block that was released too early has another owner.
        // A sequence that ended meanwhile may depend on a token that was never known.
        var ofGroups = _parts.Select((part, group) => new Queue<int[]>(_models[group].Run(part.Of(step), id => _all[id], _finished.Contains))).ToArray();
        var sampled = step.Sequences.Select(entry => ofGroups[entry.Group].Dequeue()).ToArray();
        foreach (var update in Scheduler.Update(SchedulerLab.Result(step, [.. sampled.Select((token, i) => Tokens(step.Sequences[i], token))])).ToArray())
            Handle(update);
    }

    // Like an executor that speculates, or delays: 0 to k tokens, all of them right.
    private int[] Tokens(ScheduledSequence entry, int[] sampled)
    {
        if (!entry.SamplesToken)
            return [];
        if (_random.NextDouble() < _setup.NonFinite)
            return [.. sampled[..^1], -1];
        if (_setup.MaxTokens == 1)
            return sampled;
        var sequence = _all[entry.SequenceId];
        var tokens = new int[_random.Next(_setup.MaxTokens + 1)];
        var prefix = PrefixChain.Of(sequence.Blocks.CacheSalt, sequence.TokenIds);
        for (var i = 0; i < tokens.Length; i++)
        {
            tokens[i] = PagedModel.NextToken(prefix, _setup.Vocabulary);
            prefix = PrefixChain.Next(prefix, tokens[i]);
        }

        return tokens;
    }

    private void MaybeAbort()
    {
        if (_live.Count == 0 || _random.NextDouble() >= _setup.Abort)
            return;
        NumAborts++;
        var id = _live[_random.Next(_live.Count)];
        // It may have ended with the update that is being handled.
        if (Scheduler.Abort(id))
            Ended(_all[id]);
    }

    private void CheckStep(SchedulerOutput output)
    {
        Assert.Equal(output.Sequences.Sum(s => s.TokenIds.Length), output.TotalTokens);
        var groups = output.Sequences.GroupBy(entry => entry.Group).ToArray();
        Assert.All(groups, group => Assert.InRange(group.Sum(entry => entry.TokenIds.Length), 1, _setup.Options.MaxNumBatchedTokens));
        Assert.All(groups, group => Assert.InRange(group.Count(), 1, _setup.Options.MaxNumSeqs));
        Assert.InRange(Scheduler.NumRunning, 0, _setup.Groups * _setup.Options.MaxNumSeqs);
        NumSharedSteps += groups.Length > 1 ? 1 : 0;
        Assert.Equal(output.Sequences.Count, output.Sequences.Select(s => s.SequenceId).Distinct().Count());
        var followed = new Dictionary<int, long>(); // by group
        foreach (var id in output.FinishedIds)
            Assert.True(_announced.Add(id) && _finished.Contains(id), $"the end of sequence {id} was announced wrongly");
        foreach (var entry in output.Sequences)
        {
            var sequence = _all[entry.SequenceId];
            Assert.Equal(SequenceState.Running, sequence.State);
            _groupOf.TryAdd(entry.SequenceId, entry.Group);
            Assert.Equal(_groupOf[entry.SequenceId], entry.Group);
            var end = entry.FirstPosition + entry.TokenIds.Length;
            if (entry.TokenIds.Span[0] == ScheduledSequence.UnknownToken)
            {
                Assert.True(_setup.RunAhead && entry.SamplesToken && end == sequence.NumTokens + 1 && entry.TokenIds.Length == 1);
                Assert.True(sequence.NumOutputTokens + 1 < sequence.MaxTokens, "the token that is being sampled is the last");
                var sampling = Assert.Single(_inFlight, earlier => earlier.Sequences.Any(one => one.SequenceId == entry.SequenceId && one.SamplesToken));
                Assert.InRange(output.StepId - sampling.StepId, 1, _setup.Options.MicroBatches);
                // A group's unknown tokens all come from one step in flight, so that no stage waits for the tokens of two.
                Assert.True(followed.TryAdd(entry.Group, sampling.StepId) || followed[entry.Group] == sampling.StepId);
                NumUnknownTokens++;
            }
            else
            {
                end -= entry.NumDrafts;
                Assert.Equal(sequence.TokenIds[entry.FirstPosition..end].ToArray(), entry.TokenIds[..^entry.NumDrafts].ToArray());
                Assert.Equal(end == sequence.NumTokens, entry.SamplesToken);
            }

            if (entry.NumDrafts > 0)
            {
                NumDraftedSteps++;
                Assert.True(entry.SamplesToken && entry.NumDrafts <= _setup.MaxDrafts);
                // All drafts, and the token after them, may be output.
                Assert.True(sequence.NumOutputTokens + entry.NumDrafts < sequence.MaxTokens && sequence.NumTokens + entry.NumDrafts < _setup.Options.MaxModelLen);
                Assert.DoesNotContain(_inFlight, earlier => earlier.Sequences.Any(one => one.SequenceId == entry.SequenceId));
            }

            if (_setup.Options.LongPrefillTokenThreshold is > 0 and var cap)
                Assert.InRange(entry.TokenIds.Length - entry.NumDrafts, 1, cap);
            if (!_setup.Options.EnableChunkedPrefill)
                Assert.True(entry.SamplesToken);
        }
    }

    private void Check()
    {
        Scheduler.CheckIntegrity();
        foreach (var model in _models)
            model.PoisonUnowned();
    }
}

/// <summary>Guesses any number of the tokens that the <see cref="PagedModel"/> will choose, now and then wrongly.</summary>
internal sealed class GuessingDrafter(Random random, int vocabulary) : IDrafter
{
    private int[] _drafts = [];

    public ReadOnlySpan<int> Propose(ReadOnlySpan<int> tokens, int numPromptTokens, int max)
    {
        // The drafter does not know the salt, so its guesses for salted sequences are arbitrary.
        _drafts = new int[random.Next(max + 1)];
        var prefix = PrefixChain.Of(null, tokens);
        for (var i = 0; i < _drafts.Length; i++)
        {
            var next = PagedModel.NextToken(prefix, vocabulary);
            _drafts[i] = random.Next(5) == 0 ? (next + 1) % vocabulary : next;
            prefix = PrefixChain.Next(prefix, _drafts[i]);
        }

        return _drafts;
    }
}
