using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Where the tokens stand on this device that a step takes as inputs before the host knows them. With one stage they stay where the device
/// has sampled them. With several the last stage sends the ids of every step to the first, which keeps those of as many steps as there are
/// stages; only the first has the embedding.
/// </summary>
internal sealed class SampledTokens
{
    private readonly ITokenSampler? _sampler;
    private readonly IPipelineLink? _link;
    private readonly bool _receives;
    private readonly int _stages;
    private readonly int _rowsOfStep;
    private readonly Dictionary<long, Place> _places = []; // by sequence: its latest token
    private readonly Queue<(long Step, int Rows)> _sent = []; // by the last stage, and not received yet; oldest first
    private long _numSteps;

    /// <summary>Creates room on the first of several stages, which must be before steps are recorded.</summary>
    /// <param name="rank">Its place among the ranks, and the link between the last stage and the first.</param>
    /// <param name="sampler">The device's; null: the host samples.</param>
    /// <param name="maxRows">Max number of rows that are sampled in a step.</param>
    public SampledTokens(RankContext rank, ITokenSampler? sampler, int maxRows)
    {
        (_sampler, _stages, _rowsOfStep) = (sampler, rank.Plan.PipelineParallel, maxRows);
        _link = sampler is null ? null : rank.SampledIds;
        _receives = _link is not null && rank.Place.Stage == 0;
        // Those between pass on what they are given.
        var isBetween = rank.Place.Stage > 0 && rank.Place.Stage < _stages - 1;
        AreFed = sampler is not null && (_stages == 1 || isBetween || _link is not null);
        if (_receives)
            sampler!.Reserve(_stages * maxRows);
    }

    /// <summary>Whether steps may have tokens as inputs that the host does not know, as far as this rank is concerned.</summary>
    public bool AreFed { get; }

    /// <summary>The row, as <see cref="SampledInput"/> names it, of the latest token that was sampled for a sequence.</summary>
    public int RowOf(long sequenceId) => RowOf(_places[sequenceId]);

    /// <summary>
    /// Before a step's inputs are laid out: has the device wait for the ids that the step takes, and for those that were sampled as many
    /// steps ago as there are stages, whose place the step's own will take.
    /// </summary>
    public void Receive(SchedulerOutput step)
    {
        if (!_receives)
            return;
        var newest = _numSteps - _stages;
        foreach (var sequence in step.Sequences)
        {
            if (sequence.TokenIds.Span[0] == ScheduledSequence.UnknownToken)
                newest = Math.Max(newest, _places[sequence.SequenceId].Step);
        }

        while (_sent.TryPeek(out var oldest) && oldest.Step <= newest)
        {
            _sent.Dequeue();
            using var scope = NewDisposeScope();
            _sampler!.Keep(_link!.Receive(oldest.Rows, 1, ScalarType.Int32), RowOf(new Place(oldest.Step, 0)));
        }
    }

    /// <summary>Notes where a step's tokens will stand, once its inputs have been laid out. Every rank gets every step.</summary>
    public void Note(SchedulerOutput step)
    {
        foreach (var id in step.FinishedIds)
            _places.Remove(id);
        var rows = 0;
        foreach (var sequence in step.Sequences)
        {
            if (!sequence.SamplesToken)
                continue;
            // The token after a draft is no input of a step ahead: it may not be the next one.
            if (sequence.NumDrafts == 0)
                _places[sequence.SequenceId] = new(_numSteps, rows);
            rows += 1 + sequence.NumDrafts;
        }

        if (_receives && rows > 0 && !step.SamplesOnHost)
            _sent.Enqueue((_numSteps, rows));
        _numSteps++;
    }

    /// <summary>On the last of several stages, once the device has begun to sample.</summary>
    /// <param name="rows">Rows that are sampled.</param>
    public void Send(int rows)
    {
        if (_link is null || _receives)
            return;
        using var scope = NewDisposeScope();
        _link.Send(_sampler!.Sampled(rows));
    }

    private int RowOf(Place place) => ((int)(place.Step % _stages) * _rowsOfStep) + place.Row;

    // A row of those that a step samples.
    private readonly record struct Place(long Step, int Row);
}
