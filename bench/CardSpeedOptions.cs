namespace LocalLlm.Bench;

/// <summary>What to measure for a model over several cards.</summary>
/// <param name="Shape">Its shape; the weights are random.</param>
/// <param name="TensorParallel">Cards that layers are split over.</param>
/// <param name="PipelineParallel">Stages.</param>
/// <param name="Backend">What runs the ranks: <c>engine</c> means threads of this process; <c>threads</c> and <c>processes</c> mean those
/// of <c>localllm serve</c>.</param>
/// <param name="Batches">Numbers of sequences.</param>
/// <param name="Rounds">Runs of everything.</param>
internal sealed record CardSpeedOptions(
    ModelShape Shape, int TensorParallel, int PipelineParallel, string Backend, int[] Batches, int Rounds)
{
    /// <summary>Tokens of a decoding sequence's prompt.</summary>
    public const int Prompt = 128;

    /// <summary>Tokens of a short response; the step time is the extra time of a long response divided by its extra tokens.</summary>
    public const int ShortAnswer = 32;

    /// <summary>Tokens of a long response.</summary>
    public const int LongAnswer = 160;

    /// <summary>Tokens of prompts whose first token is timed.</summary>
    public static IReadOnlyList<int> Prefills { get; } = [1024, 8192];

    /// <summary>
    /// Bytes that one card reads for one token of every sequence, halfway through the responses: its share of the weights and of the keys
    /// and values.
    /// </summary>
    /// <param name="batch">Sequences.</param>
    public double StepBytes(int batch)
    {
        const double context = Prompt + ((ShortAnswer + LongAnswer) / 2.0);
        // A stage reads its weights once for each part of the batch, but each sequence's keys and values only once.
        var cache = Shape.KvBytesPerToken * context * batch / Math.Min(TensorParallel, Shape.KvHeads) / Math.Min(batch, PipelineParallel);
        return ((double)Shape.BytesPerToken / TensorParallel) + cache;
    }

    /// <summary>Operations of one card for a prompt: matrix products and causal attention.</summary>
    /// <param name="tokens">Tokens of the prompt.</param>
    public double PromptOperations(int tokens) =>
        ((2.0 * Shape.BodyParameters * tokens) + (2.0 * Shape.Layers * Shape.Heads * Shape.HeadDim * tokens * tokens)) / TensorParallel;

    /// <summary>
    /// Sums over the ranks in a step: after the attention and the MLP of each layer, and after the embedding. Collecting the logits counts
    /// as one more.
    /// </summary>
    public int Sums => TensorParallel == 1 ? 0 : (2 * Shape.Layers) + 2;
}
