using LocalLlm.Layers;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>A model that predicts the next token, on one rank. It owns its weights; only the executor's thread calls it.</summary>
internal interface ICausalLanguageModel : IDisposable
{
    /// <summary>What it caches for every token on this rank: one cache per attention layer.</summary>
    KvCacheSpec KvCache { get; }

    /// <summary>Whether this rank's layers end with the output head; false: it passes the residual stream to the next stage.</summary>
    bool GivesLogits => true;

    /// <summary>Width of a row of logits, over all ranks.</summary>
    int VocabularySize { get; }

    /// <summary>
    /// The keys of a prompt longer than this fit only prompts of exactly the same length, because the frequencies depend on the length.
    /// Such a length is part of a cache key, and the steps that compute such prompts cannot be recorded. Null: prompts of all lengths share
    /// keys.
    /// </summary>
    int? PromptLengthThreshold { get; }

    /// <summary>
    /// Rows of the largest decode step that can be recorded: up to this size the model gives the device the same work in every step. Read
    /// it only after the weights are loaded, as it may depend on them. 0: no step can be recorded, as for a model that reads the step on
    /// the host (<see cref="PagedRows"/>).
    /// </summary>
    int MaxRecordedRows { get; }

    /// <summary>
    /// How evenly the experts of this rank's layers are used (<see cref="ExpertUsage.Balance"/>), from what the host has counted or last
    /// read; null: it has no experts.
    /// </summary>
    double? ExpertBalance => null;

    /// <summary>Reads the device's counts of expert usage without waiting for running steps.</summary>
    void ReadExpertUsage()
    {
        // Most models have no experts.
    }

    /// <summary>Resets the counts of expert usage: nothing computed so far belonged to a request.</summary>
    void ForgetExpertUsage()
    {
        // Most models have no experts.
    }

    /// <summary>
    /// Drafts tokens with the model's own layers; null: the model cannot, or not on this rank. Its cache is the last one.
    /// </summary>
    ITokenPredictor? Predictor => null;

    /// <summary>Ends a step, even one that only computed for other data-parallel groups. Experts may change their ranks now.</summary>
    void EndStep()
    {
        // Most models have no experts.
    }

    /// <summary>Prepares every position that a sequence may reach, so that the table never moves afterwards.</summary>
    void PreparePositions();

    /// <summary>Forgets the positions of the last step.</summary>
    void BeginStep();

    /// <summary>Adds the positions of some adjacent tokens of one sequence to a step, in the order of the step's tokens.</summary>
    /// <param name="step">The step; the model fills its <see cref="AttentionMetadata.PositionRows"/>.</param>
    /// <param name="firstPosition">Position of the first token.</param>
    /// <param name="count">Number of tokens.</param>
    /// <param name="promptLength">Length of the sequence's prompt.</param>
    void AddPositions(AttentionMetadata step, int firstPosition, int count, int promptLength);

    /// <summary>
    /// ids [tokens] → residual stream after the last layer of this rank [tokens, hidden]; writes the tokens' part of the caches. A later
    /// stage gets the residual stream from the stage before it and only looks at the number of ids. In a step in which its data-parallel
    /// group has no tokens, it only computes for the other groups.
    /// </summary>
    Tensor Forward(Tensor ids, ForwardContext context);

    /// <summary>
    /// Rows of the residual stream [rows, hidden] → logits [rows, this rank's part of the vocabulary] in the activation type. Requires
    /// <see cref="GivesLogits"/>.
    /// </summary>
    Tensor ComputeLogits(Tensor hidden);
}
