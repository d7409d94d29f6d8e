using LocalLlm.Interop;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Token embeddings whose rows are split over the ranks. A rank returns zeros for other ranks' ids; the ranks' rows are
/// summed.</summary>
internal sealed class VocabParallelEmbedding
{
    private readonly LayerContext _context;
    private readonly ShardRange _shard;
    private readonly LoadedWeight<Tensor> _table;

    /// <summary>Registers <c>prefix.weight</c> [vocabulary, hidden].</summary>
    public VocabParallelEmbedding(LayerContext context, string prefix, int vocabularySize, int hiddenSize)
    {
        _context = context;
        _shard = ShardRange.OfVocabulary(vocabularySize, context.Collectives);
        _table = context.Weights.Add(new WeightSpec($"{prefix}.weight", [vocabularySize, hiddenSize], 0, _shard.Start, _shard.Length),
            context.Ops.ToDevice, context.Ops.Features.SharesLoaded);
    }

    /// <summary>ids [tokens] as <see cref="Ops.IDeviceOps.BeginStep"/> returned them → [tokens, hidden].</summary>
    public Tensor Forward(Tensor ids)
    {
        var table = _table.Value;
        if (_context.Collectives.WorldSize == 1)
            return _context.Ops.Embedding(ids, table);
        return _context.Collectives.AllReduce(_context.Ops.EmbeddingShard(ids, table, _shard.Start));
    }

    /// <summary>Token ids [tokens] that the device did not sample → [tokens, hidden].</summary>
    public Tensor Lookup(Tensor ids)
    {
        if (_context.Collectives.WorldSize == 1)
            return _table.Value.index_select(0, ids);
        var local = ids.Minus(_shard.Start);
        var foreign = local.IsLess(0).logical_or(local.IsAtLeast(_shard.Length));
        return _context.Collectives.AllReduce(_table.Value.index_select(0, local.MaskedFill(foreign, 0)).MaskedFill(foreign.unsqueeze(1), 0));
    }
}
