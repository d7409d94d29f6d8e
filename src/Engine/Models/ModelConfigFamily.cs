namespace LocalLlm.Models;

/// <summary>
/// What config.json leaves unsaid for one architecture: the defaults and fixed properties of transformers' configuration and model
/// classes.
/// </summary>
/// <param name="Architecture">The class name in <c>architectures</c>.</param>
/// <param name="ModelType">The <c>model_type</c>.</param>
internal sealed record ModelConfigFamily(string Architecture, string ModelType)
{
    /// <summary>The architectures whose configuration this build reads.</summary>
    public static IReadOnlyList<ModelConfigFamily> All { get; } =
    [
        new("LlamaForCausalLM", "llama") { MaxPositionEmbeddings = 2048, BosTokenId = 1, EosTokenId = 2, HasMlpBias = true },
        new("MistralForCausalLM", "mistral")
        {
            MaxPositionEmbeddings = 131_072, BosTokenId = 1, EosTokenId = 2, HasMlpBias = true, Window = ModelConfigWindow.Every,
        },
        new("Qwen2ForCausalLM", "qwen2") { MaxPositionEmbeddings = 32_768, HasFixedQkvBias = true, Window = ModelConfigWindow.Gated },
        new("Qwen3ForCausalLM", "qwen3") { MaxPositionEmbeddings = 32_768, HeadDim = 128, QkNorm = true, Window = ModelConfigWindow.Gated },
    ];

    /// <summary>Context length where <c>max_position_embeddings</c> is absent.</summary>
    public int MaxPositionEmbeddings { get; private init; }

    /// <summary>Head size where <c>head_dim</c> is absent; null: hidden size / heads.</summary>
    public int? HeadDim { get; private init; }

    /// <summary>Beginning-of-sequence id where absent.</summary>
    public int? BosTokenId { get; private init; }

    /// <summary>End-of-sequence id where absent.</summary>
    public int? EosTokenId { get; private init; }

    /// <summary>Whatever <c>attention_bias</c> says: query, key and value projections have a bias, the output projection none.</summary>
    public bool HasFixedQkvBias { get; private init; }

    /// <summary><c>mlp_bias</c> is read; otherwise there is never one.</summary>
    public bool HasMlpBias { get; private init; }

    /// <summary>Queries and keys are normalised per head.</summary>
    public bool QkNorm { get; private init; }

    /// <summary>How <c>sliding_window</c> is read.</summary>
    public ModelConfigWindow Window { get; private init; }
}
