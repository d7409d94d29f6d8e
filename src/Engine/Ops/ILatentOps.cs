using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// What a device does for latent attention (arXiv 2405.04434). The cache has one row for each token: its normalised latent vector and the
/// rotated part of its key. <see cref="TorchLatentOps"/> is the plain version. Results live as long as those of <see cref="IDeviceOps"/>.
/// </summary>
internal interface ILatentOps
{
    /// <summary>Max number of rows of a decode step that can be recorded (<see cref="IGraphCapture"/>); 0: none can.</summary>
    /// <param name="type">Type of the activations.</param>
    /// <param name="shape">Sizes of the layer on this rank.</param>
    int MaxRecordedRows(ScalarType type, LatentAttentionShape shape) => 0;

    /// <summary>Brings the projection of latent vectors to keys and values into the device's own layout.</summary>
    /// <param name="projection">[heads · (plain_dim + value_dim), rank] in the activation type: each head's keys, then its values. The
    /// caller keeps it.</param>
    /// <param name="shape">Sizes of the layer on this rank.</param>
    LatentWeight Pack(Tensor projection, LatentAttentionShape shape);

    /// <summary>Rotates the queries in place; normalises and rotates each token's row, and stores it in its slot.</summary>
    /// <param name="queries">[tokens, heads · (plain_dim + rotary_dim)].</param>
    /// <param name="rows">[tokens, width]; a token's latent vector and the part of its key to rotate begin at
    /// <paramref name="column"/>.</param>
    /// <param name="column">First column of the latent vectors.</param>
    /// <param name="normWeight">[rank].</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="rotary">Rotary position embeddings of the rotated part.</param>
    /// <param name="cache">One tensor of rows.</param>
    /// <param name="metadata">The step.</param>
    /// <param name="shape">Sizes of the layer on this rank.</param>
    void RotateAndStore(
        Tensor queries, Tensor rows, int column, Tensor normWeight, float epsilon, RotaryTable rotary, KvLayerCache cache,
        AttentionMetadata metadata, LatentAttentionShape shape);

    /// <summary>
    /// Causal attention of each token over its own sequence's rows: [tokens, heads · (plain_dim + rotary_dim)] →
    /// [tokens, heads · value_dim].
    /// </summary>
    Tensor Attention(Tensor queries, LatentWeight weight, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape);
}
