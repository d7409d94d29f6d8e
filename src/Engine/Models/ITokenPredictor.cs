using LocalLlm.Layers;
using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>
/// Multi-token prediction (arXiv 2412.19437, 2.2): a layer after the model's last one. From the model's output for a token and the token
/// after it, it predicts the token after that. It is on every rank of the last stage; only the executor's thread calls it.
/// </summary>
internal interface ITokenPredictor
{
    /// <summary>Runs the layer, and writes the tokens' part of its cache.</summary>
    /// <param name="hidden">[tokens, hidden]: the result of <see cref="ICausalLanguageModel.Forward"/>, or of this method for the token
    /// before; unchanged.</param>
    /// <param name="isOfModel">Whether the model itself computed the hidden states.</param>
    /// <param name="nextIds">[tokens] int64, on the model's device: the token after each.</param>
    /// <param name="context">The step, with the tokens' own positions.</param>
    /// <returns>[tokens, hidden].</returns>
    Tensor Forward(Tensor hidden, bool isOfModel, Tensor nextIds, ForwardContext context);

    /// <summary>
    /// Rows of a result of <see cref="Forward"/> → logits of the token after the next one: [rows, this rank's part of the vocabulary].
    /// </summary>
    Tensor ComputeLogits(Tensor hidden);
}
