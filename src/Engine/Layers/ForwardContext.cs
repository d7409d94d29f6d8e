using LocalLlm.Ops;

namespace LocalLlm.Layers;

/// <summary>What a forward pass knows beside its input.</summary>
/// <param name="Metadata">The step's sequences, positions and slots.</param>
/// <param name="Caches">One per attention layer.</param>
internal sealed record ForwardContext(AttentionMetadata Metadata, IReadOnlyList<KvLayerCache> Caches);
