namespace LocalLlm.Execution;

/// <summary>The seam between the embedding loop and its device. One thread makes all calls.</summary>
internal interface IEncoderExecutor : IDisposable
{
    /// <summary>What the model can say of a text.</summary>
    EmbeddingKinds Kinds { get; }

    /// <summary>Width of dense vectors.</summary>
    int Dimensions { get; }

    /// <summary>
    /// Max number of tokens of a text, special ones included: as many as there are positions, or fewer where sentence-transformers'
    /// configuration says so.
    /// </summary>
    int MaxModelLength { get; }

    /// <summary>Max number of tokens of a step, unless the options say otherwise.</summary>
    int StepTokens { get; }

    /// <summary>The longest that a step may take unless the options say otherwise; null: any time.</summary>
    TimeSpan? StepTimeout { get; }

    /// <summary>Ends what waits for another device: <see cref="Run"/> throws, now and later. Any thread.</summary>
    /// <param name="reason">Why the engine has given up.</param>
    void Abort(Exception reason)
    {
        // One device waits for nobody.
    }

    /// <summary>Embeds texts in one pass.</summary>
    /// <param name="texts">Token ids, special ones included; at most the model's length each.</param>
    /// <param name="kinds">What is wanted of each text.</param>
    /// <param name="specialIds">Tokens that have no sparse weight.</param>
    /// <returns>One for each text; null for one whose vectors are not finite.</returns>
    TextEmbedding?[] Run(IReadOnlyList<int[]> texts, IReadOnlyList<EmbeddingKinds> kinds, IReadOnlySet<int> specialIds);
}
