namespace LocalLlm.Bench;

/// <summary>What to measure of a model over several cards.</summary>
/// <param name="Shape">Its shape; the weights are random.</param>
/// <param name="TensorParallel">Cards that layers are split over.</param>
/// <param name="PipelineParallel">Stages.</param>
/// <param name="Backend">What runs the ranks: <c>engine</c>, threads of this process; <c>threads</c> or <c>processes</c>, those of
/// <c>localllm serve</c>.</param>
/// <param name="Batches">Numbers of sequences.</param>
/// <param name="Rounds">Runs of everything.</param>
internal sealed record CardSpeedOptions(
    ModelShape Shape, int TensorParallel, int PipelineParallel, string Backend, int[] Batches, int Rounds)
{
    /// <summary>Tokens of a decoding sequence's prompt.</summary>
    public const int Prompt = 128;

    /// <summary>Tokens of a short answer; the time of a step is what a longer one takes beyond it.</summary>
    public const int ShortAnswer = 32;

    /// <summary>Tokens of a long answer.</summary>
    public const int LongAnswer = 160;

    /// <summary>Tokens of prompts whose first token is timed.</summary>
    public static IReadOnlyList<int> Prefills { get; } = [1024, 8192];

    /// <summary>
    /// Bytes that one card reads for a token of all sequences in the middle of the answers: its part of the weights, and of keys and
    /// values.
    /// </summary>
    /// <param name="batch">Sequences.</param>
    public double StepBytes(int batch)
    {
        const double context = Prompt + ((ShortAnswer + LongAnswer) / 2.0);
        // Stages read their weights for each part of the sequences, but the keys and values of each once.
        var cache = Shape.KvBytesPerToken * context * batch / Math.Min(TensorParallel, Shape.KvHeads) / Math.Min(batch, PipelineParallel);
        return ((double)Shape.BytesPerToken / TensorParallel) + cache;
    }

    /// <summary>Operations of one card for a prompt: products, and causal attention.</summary>
    /// <param name="tokens">Of the prompt.</param>
    public double PromptOperations(int tokens) =>
        ((2.0 * Shape.BodyParameters * tokens) + (2.0 * Shape.Layers * Shape.Heads * Shape.HeadDim * tokens * tokens)) / TensorParallel;

    /// <summary>
    /// Sums over the ranks in a step: behind attention and MLP of each layer and behind the embedding; the logits' way is counted as one
    /// more.
    /// </summary>
    public int Sums => TensorParallel == 1 ? 0 : (2 * Shape.Layers) + 2;
}
