using LocalLlm.Ops;
using LocalLlm.Parallel;

namespace LocalLlm.Layers;

/// <summary>What a forward pass needs besides its input.</summary>
/// <param name="Metadata">The step's sequences, positions and slots.</param>
/// <param name="Caches">One per attention layer.</param>
internal sealed record ForwardContext(AttentionMetadata Metadata, IReadOnlyList<KvLayerCache> Caches)
{
    /// <summary>The number of tokens of every data-parallel group; null: there is only one group.</summary>
    public GroupRows? Rows { get; init; }
}
