using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Finds, on this device, sampled tokens that are inputs of a step before the host knows them. With one stage, they stay where the device
/// sampled them. With several, the last stage sends the ids of every step to the first, because only the first has the embedding. The
/// first stage keeps the ids of as many steps as there are stages.
/// </summary>
internal sealed class SampledTokens
{
    private readonly ITokenSampler? _sampler;
    private readonly IPipelineLink? _link;
    private readonly bool _receives;
    private readonly int _stages;
    private readonly int _rowsOfStep;
    private readonly Dictionary<long, Place> _places = []; // the latest token of each sequence
    private readonly Queue<(long Step, int Rows)> _sent = []; // steps whose ids the last stage sends and this one has not received; oldest first
    private long _numSteps;

    /// <summary>Reserves room on the first of several stages; this must happen before steps are recorded.</summary>
    /// <param name="rank">This rank's place, with the link between the last stage and the first.</param>
    /// <param name="sampler">The device's sampler; null: the host samples.</param>
    /// <param name="maxRows">Max number of sampled rows in a step.</param>
    public SampledTokens(RankContext rank, ITokenSampler? sampler, int maxRows)
    {
        (_sampler, _stages, _rowsOfStep) = (sampler, rank.Plan.PipelineParallel, maxRows);
        _link = sampler is null ? null : rank.SampledIds;
        _receives = _link is not null && rank.Place.Stage == 0;
        // Stages in between only pass on what they receive.
        var isBetween = rank.Place.Stage > 0 && rank.Place.Stage < _stages - 1;
        AreFed = sampler is not null && (_stages == 1 || isBetween || _link is not null);
        if (_receives)
            sampler!.Reserve(_stages * maxRows);
    }

    /// <summary>Whether this rank supports steps whose input tokens the host does not know.</summary>
    public bool AreFed { get; }

    /// <summary>The row, in the numbering of <see cref="SampledInput"/>, of a sequence's latest sampled token.</summary>
    public int RowOf(long sequenceId) => RowOf(_places[sequenceId]);

    /// <summary>
    /// Called before a step's inputs are laid out. Makes the device wait for the ids that the step takes as inputs, and for the ids
    /// sampled as many steps ago as there are stages, whose place this step's ids will take.
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

    /// <summary>Records where a step's tokens will be, once its inputs have been laid out. Every rank gets every step.</summary>
    public void Note(SchedulerOutput step)
    {
        foreach (var id in step.FinishedIds)
            _places.Remove(id);
        var rows = 0;
        foreach (var sequence in step.Sequences)
        {
            if (!sequence.SamplesToken)
                continue;
            // A token sampled with drafts is not an input of a step that runs ahead: it may not be the next token.
            if (sequence.NumDrafts == 0)
                _places[sequence.SequenceId] = new(_numSteps, rows);
            rows += 1 + sequence.NumDrafts;
        }

        if (_receives && rows > 0 && !step.SamplesOnHost)
            _sent.Enqueue((_numSteps, rows));
        _numSteps++;
    }

    /// <summary>Called on the last of several stages once the device has begun to sample: sends the ids to the first stage.</summary>
    /// <param name="rows">Number of sampled rows.</param>
    public void Send(int rows)
    {
        if (_link is null || _receives)
            return;
        using var scope = NewDisposeScope();
        _link.Send(_sampler!.Sampled(rows));
    }

    private int RowOf(Place place) => ((int)(place.Step % _stages) * _rowsOfStep) + place.Row;

    // One of the rows that a step samples.
    private readonly record struct Place(long Step, int Row);
}
