using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Drafts tokens with a model's own layers, once a step's tokens are chosen. The layer runs over all positions of the step, so that its
/// cache has every token. For further drafts it then runs over one position of each sequence at a time, on its own output.
/// </summary>
/// <param name="model">The model with the predictor.</param>
/// <param name="ops">The model's device.</param>
/// <param name="group">The ranks of the stage. If devices choose the tokens, all ranks know them; otherwise only the first does.</param>
/// <param name="gather">Collects the ranks' logits.</param>
/// <param name="maxDrafts">Max number of drafts for a sequence.</param>
/// <param name="maxModelLen">Maximum number of positions of a sequence.</param>
internal sealed class TokenPrediction(
    ICausalLanguageModel model, IDeviceOps ops, ICollectives group, LogitsGather gather, int maxDrafts, int maxModelLen) : IDisposable
{
    private readonly AttentionMetadata _metadata = new();
    private readonly List<Row> _rows = [];
    private readonly List<float> _message = [];
    private readonly bool _allKnow = gather.OnEveryRank;

    // A sequence to draft for: its index in the step, the row that its next draft is predicted from, and that row's position.
    private readonly record struct Row(int Index, int At, int Position);

    /// <summary>Runs after the tokens of a step are chosen, on all ranks of the last stage.</summary>
    /// <param name="step">The step.</param>
    /// <param name="hidden">[tokens, hidden], the model's result.</param>
    /// <param name="context">The context that the model ran in.</param>
    /// <param name="submitted">Holds the tokens and receives the drafts. Only the first rank's has the tokens.</param>
    public unsafe void Run(SchedulerOutput step, Tensor hidden, ForwardContext context, SubmittedStep submitted)
    {
        using var scope = NewDisposeScope();
        var (nextIds, rows) = Exchange(step, submitted);
        _rows.Clear();
        for (var i = 0; i < step.Sequences.Count; i++)
        {
            if (rows[i] >= 0)
                _rows.Add(new(i, rows[i], step.Sequences[i].FirstPosition + rows[i] - context.Metadata.Sequences.Span[i].FirstToken));
        }

        hidden = model.Predictor!.Forward(hidden, isOfModel: true, nextIds.to(hidden.device), context);
        for (var draft = 0; _rows.Count > 0; draft++)
        {
            // Tensors of a draft are freed after it, except those that the next draft starts from.
            using var ofDraft = NewDisposeScope();
            var indices = tensor(_rows.Select(row => (long)row.At).ToArray(), device: hidden.device);
            var last = hidden.index_select(0, indices); // [sequences, hidden]
            var ids = Choose(model.Predictor.ComputeLogits(last));
            for (var i = 0; i < _rows.Count; i++)
                submitted.AddDraft(_rows[i].Index, (int)ids[i]);
            if (draft + 1 == maxDrafts || !Advance(step, ids, out var kept, out var nextOfKept))
                return;
            ops.BeginStep(new int[_rows.Count], _metadata); // placeholders: the predictor gets the ids separately
            var next = new ForwardContext(_metadata, context.Caches);
            hidden = model.Predictor.Forward(last.index_select(0, kept.to(last.device)), isOfModel: false, nextOfKept.to(last.device), next)
                .MoveToOuterDisposeScope();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _metadata.Dispose();

    // Brings the first rank's knowledge to all ranks: the token after each position [tokens], and for each sequence the row that its token
    // was chosen from, or -1.
    private (Tensor NextIds, int[] Rows) Exchange(SchedulerOutput step, SubmittedStep submitted)
    {
        _message.Clear();
        if (_allKnow || group.Rank == 0)
            Write(step, submitted);
        var count = step.TotalTokens + step.Sequences.Count;
        var message = Share(count);
        return (message.narrow(0, 0, step.TotalTokens).to(ScalarType.Int64), [.. message.narrow(0, step.TotalTokens, step.Sequences.Count).data<float>().Select(row => (int)row)]);
    }

    private void Write(SchedulerOutput step, SubmittedStep submitted)
    {
        var firstRow = 0;
        Span<int> rows = step.Sequences.Count <= 1024 ? stackalloc int[step.Sequences.Count] : new int[step.Sequences.Count];
        for (var i = 0; i < step.Sequences.Count; i++)
        {
            var sequence = step.Sequences[i];
            var sampled = submitted.SampledOf(i);
            var isSound = sampled.Length > 0 && sampled[^1].Error == SampleError.None;
            var ids = sequence.TokenIds.Span;
            // Number of positions with known tokens; positions of wrong drafts are computed again.
            var known = ids.Length - sequence.NumDrafts + Math.Max(0, sampled.Length - 1);
            var next = isSound ? sampled[^1].TokenId : Math.Max(0, sequence.NextTokenId);
            for (var position = 1; position <= ids.Length; position++)
                _message.Add(position < known ? ids[position] : next);
            rows[i] = isSound ? firstRow + known - 1 : -1;
            firstRow += ids.Length;
        }

        foreach (var row in rows)
            _message.Add(row);
    }

    // Copies the first rank's numbers to all ranks, on the host; ids and rows are exact in float32.
    private Tensor Share(int count)
    {
        var message = _allKnow || group.Rank == 0 ? tensor(_message.ToArray()) : zeros([count], ScalarType.Float32);
        return _allKnow ? message : group.AllReduce(message);
    }

    // Chooses the best tokens. For logits that are not finite any token will do, because the model verifies all drafts.
    private long[] Choose(Tensor logits)
    {
        _message.Clear();
        if (gather.Best(logits) is { } best)
            _message.AddRange(best.cpu().data<int>().Select(id => (float)Math.Max(0, id)));
        return [.. Share(_rows.Count).data<float>().Select(id => (long)id)];
    }

    // Moves to the next position of every sequence whose blocks reach it. False: none has room.
    private bool Advance(SchedulerOutput step, long[] ids, out Tensor kept, out Tensor nextIds)
    {
        var (places, tokens) = (new List<long>(), new List<long>());
        _metadata.Clear();
        model.BeginStep();
        var last = _rows.ToArray();
        _rows.Clear();
        for (var i = 0; i < last.Length; i++)
        {
            var sequence = step.Sequences[last[i].Index];
            var position = last[i].Position + 1;
            var blocks = sequence.BlockTable.Span;
            if (position >= maxModelLen || position / AttentionMetadata.BlockSize >= blocks.Length)
                continue;
            _metadata.Sequences.Add(new(_rows.Count, 1, position + 1, _metadata.BlockTables.Count));
            _metadata.BlockTables.AddRange(blocks);
            model.AddPositions(_metadata, position, 1, sequence.PromptLength);
            _metadata.SlotMapping.Add((blocks[position / AttentionMetadata.BlockSize] * AttentionMetadata.BlockSize) + (position % AttentionMetadata.BlockSize));
            places.Add(i);
            tokens.Add(ids[i]);
            _rows.Add(new(last[i].Index, _rows.Count, position));
        }

        (kept, nextIds) = (tensor(places.ToArray()), tensor(tokens.ToArray()));
        return places.Count > 0;
    }
}
