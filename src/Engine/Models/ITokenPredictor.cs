using LocalLlm.Layers;
using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>
/// Multi-token prediction (arXiv 2412.19437, 2.2): a layer behind the model's last one that sees what the model made of a token, and the
/// token after it, and predicts the one after that. On every rank of the last stage; called on the executor's thread.
/// </summary>
internal interface ITokenPredictor
{
    /// <summary>Runs the layer, and writes the tokens' part of its cache.</summary>
    /// <param name="hidden">[tokens, hidden] as <see cref="ICausalLanguageModel.Forward"/> gave it, or as this gave it for the token
    /// before; unchanged.</param>
    /// <param name="isOfModel">Whether the model itself gave it.</param>
    /// <param name="nextIds">[tokens] int64, on the model's device: the token after each.</param>
    /// <param name="context">The step, with the tokens' own positions.</param>
    /// <returns>[tokens, hidden].</returns>
    Tensor Forward(Tensor hidden, bool isOfModel, Tensor nextIds, ForwardContext context);

    /// <summary>
    /// Rows of what <see cref="Forward"/> gave → logits of the token after the next one: [rows, this rank's part of the vocabulary].
    /// </summary>
    Tensor ComputeLogits(Tensor hidden);
}
