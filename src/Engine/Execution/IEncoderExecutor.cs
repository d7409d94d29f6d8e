namespace LocalLlm.Execution;

/// <summary>The interface between the embedding loop and its device. One thread makes all calls.</summary>
internal interface IEncoderExecutor : IDisposable
{
    /// <summary>The kinds of embedding that the model computes.</summary>
    EmbeddingKinds Kinds { get; }

    /// <summary>Width of dense vectors.</summary>
    int Dimensions { get; }

    /// <summary>
    /// Max number of tokens of a text, special tokens included: the number of positions, or fewer if sentence-transformers' configuration
    /// says so.
    /// </summary>
    int MaxModelLength { get; }

    /// <summary>Max number of tokens of a step, unless the options say otherwise.</summary>
    int StepTokens { get; }

    /// <summary>Time limit of a step unless the options set one; null: no limit.</summary>
    TimeSpan? StepTimeout { get; }

    /// <summary>Ends every wait for another device: <see cref="Run"/> throws, now and later. May be called on any thread.</summary>
    /// <param name="reason">Why the engine has given up.</param>
    void Abort(Exception reason)
    {
        // A single device waits for no other.
    }

    /// <summary>Embeds texts in one pass.</summary>
    /// <param name="texts">Token ids, special ones included; each text at most the model's length.</param>
    /// <param name="kinds">The requested kinds of embedding of each text.</param>
    /// <param name="specialIds">Tokens that have no sparse weight.</param>
    /// <returns>One embedding for each text; null for a text whose vectors are not finite.</returns>
    TextEmbedding?[] Run(IReadOnlyList<int[]> texts, IReadOnlyList<EmbeddingKinds> kinds, IReadOnlySet<int> specialIds);
}
