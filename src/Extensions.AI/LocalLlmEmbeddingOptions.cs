namespace LocalLlm.Extensions.AI;

/// <summary>
/// What the engine takes beyond <see cref="Microsoft.Extensions.AI.EmbeddingGenerationOptions"/>: give one from
/// <see cref="Microsoft.Extensions.AI.EmbeddingGenerationOptions.RawRepresentationFactory"/>.
/// </summary>
public sealed class LocalLlmEmbeddingOptions
{
    /// <summary>What is wanted beside the dense vector; all of it comes from the same pass.</summary>
    public EmbeddingKinds Kinds { get; set; } = EmbeddingKinds.Dense;

    /// <summary>Whether a text that is too long is cut at its end; otherwise it is refused.</summary>
    public bool Truncate { get; set; }
}
