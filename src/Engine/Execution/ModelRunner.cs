using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Turns a step of the scheduler into the model's inputs and runs the model. Owns the input buffers, but not the model.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="ops">The model's device.</param>
/// <param name="caches">One cache for each attention layer.</param>
/// <param name="graphs">Recorded decode steps, owned by this object; null: none.</param>
/// <param name="rows">The number of tokens of every data-parallel group in the running step; null: only one group.</param>
internal sealed class ModelRunner(
    ICausalLanguageModel model, IDeviceOps ops, IReadOnlyList<KvLayerCache> caches, DecodeGraphs? graphs, GroupRows? rows) : IDisposable
{
    private readonly AttentionMetadata _metadata = new();
    private readonly NativeBuffer<int> _inputIds = new();
    private readonly NativeBuffer<int> _logitsRows = new();
    private Tensor? _graphLogits;

    /// <summary>The context that the last step's layers ran in, for further layers.</summary>
    public ForwardContext Context => field ??= new(_metadata, caches) { Rows = rows };

    /// <summary>
    /// Computes the residual stream of all tokens of the step: [tokens, hidden], in the order of its sequences. Null if a recorded step
    /// has already computed the logits of all rows.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="sampled">The sampled tokens that the host does not know yet.</param>
    public Tensor? Forward(SchedulerOutput step, SampledTokens sampled)
    {
        Prepare(step, sampled);
        if (step.IsEmpty)
        {
            _graphLogits = null;
            return model.Forward(empty([0], ScalarType.Int32, ops.Device), Context);
        }

        _graphLogits = graphs is not null && IsDecode(step) ? graphs.TryReplay(_inputIds.Span, _metadata) : null;
        return _graphLogits is null
            ? model.Forward(ops.BeginStep(_inputIds.Span, _metadata), Context)
            : null;
    }

    /// <summary>
    /// Computes the logits of some rows (ascending and distinct) of the result of <see cref="Forward"/>: [at least rows, this rank's part
    /// of the vocabulary] in the activation type.
    /// </summary>
    public Tensor ComputeLogits(Tensor? hidden, ReadOnlySpan<int> rows)
    {
        if (hidden is null)
            return _graphLogits!;
        if (rows.Length == hidden.size(0))
            return model.ComputeLogits(hidden);

        // Pad to a number of rows that recorded steps have too: the first product of a new size costs milliseconds.
        _logitsRows.Clear();
        _logitsRows.AddRange(rows);
        for (var padding = (graphs?.PaddedRows(rows.Length) ?? rows.Length) - rows.Length; padding > 0; padding--)
            _logitsRows.Add(rows[^1]);
        return model.ComputeLogits(ops.SelectRows(hidden, _logitsRows.Span));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        graphs?.Dispose();
        _metadata.Dispose();
        _inputIds.Dispose();
        _logitsRows.Dispose();
    }

    // The kind of step that is recorded: it needs the logits of every row, and nothing else.
    private bool IsDecode(SchedulerOutput step)
    {
        foreach (var sequence in step.Sequences)
        {
            // The rotary position of such a token is written anew for this step, and a recording does not read it.
            if (sequence.FirstPosition < sequence.PromptLength && sequence.PromptLength > model.PromptLengthThreshold)
                return false;
            if (sequence.TokenIds.Length != 1 || !sequence.SamplesToken || sequence.NeedsPromptLogits)
                return false;
        }

        return true;
    }

    private void Prepare(SchedulerOutput step, SampledTokens sampled)
    {
        _metadata.Clear();
        _inputIds.Clear();
        model.BeginStep();
        foreach (var sequence in step.Sequences)
        {
            var tokens = sequence.TokenIds.Span;
            var blocks = sequence.BlockTable.Span;
            var contextLength = sequence.FirstPosition + tokens.Length;
            _metadata.Sequences.Add(new(_metadata.TokenCount, tokens.Length, contextLength, _metadata.BlockTables.Count));
            _metadata.BlockTables.AddRange(blocks);
            model.AddPositions(_metadata, sequence.FirstPosition, tokens.Length, sequence.PromptLength);
            if (tokens[0] == ScheduledSequence.UnknownToken)
                _inputIds.Add(SampledInput.OfRow(sampled.RowOf(sequence.SequenceId)));
            else
                _inputIds.AddRange(tokens);
            for (var position = sequence.FirstPosition; position < contextLength; position++)
                _metadata.SlotMapping.Add((blocks[position / AttentionMetadata.BlockSize] * AttentionMetadata.BlockSize) + (position % AttentionMetadata.BlockSize));
        }
    }
}
