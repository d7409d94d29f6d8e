using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>
/// A model that computes a hidden state for every token of whole texts. It owns its weights, and only the executor's thread calls it.
/// </summary>
internal interface IEncoderModel : IDisposable
{
    /// <summary>
    /// Texts of 1 to <see cref="EncoderConfig.MaxModelLength"/> tokens → their hidden states, one text after the other: [tokens, hidden],
    /// in the activation type. The caller's dispose scope owns the result.
    /// </summary>
    Tensor Forward(IReadOnlyList<int[]> texts);
}
