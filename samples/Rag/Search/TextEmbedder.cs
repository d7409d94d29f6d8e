using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;

namespace LocalLlm.Samples.Rag.Search;

/// <summary>Computes all kinds of vectors that the embedding model supports.</summary>
internal sealed class TextEmbedder(IEmbeddingGenerator<string, Embedding<float>> generator)
{
    // Enough to fill the engine's steps; the vectors of more texts would only occupy memory.
    private const int TextsAtOnce = 64;

    /// <summary>The engine behind the generator, with its tokenizer, name and supported kinds.</summary>
    public EmbeddingEngine Engine => generator.GetService<EmbeddingEngine>() ?? throw new InvalidOperationException("The embedding model is not loaded yet; start the host first.");

    /// <summary>The vectors of texts, in their order. A text beyond the model's limit is refused or, with <c>truncate</c>, cut at its
    /// end.</summary>
    public async Task<IReadOnlyList<TextVectors>> EmbedAsync(IReadOnlyList<string> texts, CancellationToken cancellationToken, bool truncate = false)
    {
        var options = new EmbeddingGenerationOptions { RawRepresentationFactory = _ => new LocalLlmEmbeddingOptions { Kinds = Engine.Kinds, Truncate = truncate } };
        var vectors = new List<TextVectors>(texts.Count);
        foreach (var some in texts.Chunk(TextsAtOnce))
        {
            foreach (var embedding in await generator.GenerateAsync(some, options, cancellationToken))
                vectors.Add(TextVectors.Of(embedding.GetTextEmbedding() ?? new() { Dense = embedding.Vector.ToArray() }));
        }

        return vectors;
    }
}
