namespace LocalLlm.Extensions.AI;

/// <summary>
/// Options of the engine that <see cref="Microsoft.Extensions.AI.EmbeddingGenerationOptions"/> does not have. Return an instance from
/// <see cref="Microsoft.Extensions.AI.EmbeddingGenerationOptions.RawRepresentationFactory"/>.
/// </summary>
public sealed class LocalLlmEmbeddingOptions
{
    /// <summary>The kinds of embedding to compute; one forward pass computes all of them.</summary>
    public EmbeddingKinds Kinds { get; set; } = EmbeddingKinds.Dense;

    /// <summary>Whether a text that is too long is truncated at its end; otherwise it is refused.</summary>
    public bool Truncate { get; set; }
}
