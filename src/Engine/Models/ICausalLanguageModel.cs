using LocalLlm.Layers;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>A model that predicts the next token. Lives on one rank; called on the executor's thread only. Owns its weights.</summary>
internal interface ICausalLanguageModel : IDisposable
{
    /// <summary>What it keeps of every token on this rank: one cache per attention layer.</summary>
    KvCacheSpec KvCache { get; }

    /// <summary>Whether this rank's layers end with the output head; false: it passes the residual stream to the next stage.</summary>
    bool GivesLogits => true;

    /// <summary>Width of a row of logits, of all ranks together.</summary>
    int VocabularySize { get; }

    /// <summary>
    /// Prompts longer than this give keys that fit only prompts of the very same length (frequencies that depend on the length): their
    /// length is part of a cache key, and the steps that compute them cannot be recorded. Null: there are no such prompts.
    /// </summary>
    int? PromptLengthThreshold { get; }

    /// <summary>
    /// Rows of the largest step of single tokens that can be recorded: up to there it puts the same work on the device whatever the step
    /// is. Asked once the weights are loaded, as it may depend on what they are. 0: none, as for a model that reads the step on the host
    /// (<see cref="PagedRows"/>).
    /// </summary>
    int MaxRecordedRows { get; }

    /// <summary>
    /// How evenly the experts of this rank's layers are used (<see cref="ExpertUsage.Balance"/>), by what the host has counted or has read
    /// last; null: it has none.
    /// </summary>
    double? ExpertBalance => null;

    /// <summary>Reads what the device has counted of its experts, without waiting for the steps that it computes.</summary>
    void ReadExpertUsage()
    {
        // Most models have none.
    }

    /// <summary>Begins to count anew: what was computed so far was no request's.</summary>
    void ForgetExpertUsage()
    {
        // Most models have none.
    }

    /// <summary>
    /// What drafts tokens with the model's own layers; null: nothing does, or not on this rank. Its cache is the last one.
    /// </summary>
    ITokenPredictor? Predictor => null;

    /// <summary>A step was computed, also one for other data-parallel groups alone: now experts may change their ranks.</summary>
    void EndStep()
    {
        // Most models have none.
    }

    /// <summary>Prepares every position that a sequence may reach, so that nothing of it moves afterwards.</summary>
    void PreparePositions();

    /// <summary>Forgets the positions of the last step.</summary>
    void BeginStep();

    /// <summary>Adds the positions of some adjacent tokens of one sequence to a step, in the order of the step's tokens.</summary>
    /// <param name="step">Whose <see cref="AttentionMetadata.PositionRows"/> the model fills.</param>
    /// <param name="firstPosition">Position of the first token.</param>
    /// <param name="count">Number of tokens.</param>
    /// <param name="promptLength">Of the sequence.</param>
    void AddPositions(AttentionMetadata step, int firstPosition, int count, int promptLength);

    /// <summary>
    /// ids [tokens] → residual stream after the last layer of this rank [tokens, hidden]; writes the tokens' part of the caches. A later
    /// stage takes the residual stream of the stage before instead of the ids, whose number alone it looks at. In a step in which its
    /// data-parallel group has no tokens it computes for the others alone.
    /// </summary>
    Tensor Forward(Tensor ids, ForwardContext context);

    /// <summary>
    /// Rows of the residual stream [rows, hidden] → logits [rows, this rank's part of the vocabulary] in the activation type. Where
    /// <see cref="GivesLogits"/>.
    /// </summary>
    Tensor ComputeLogits(Tensor hidden);
}
