using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>
/// A model that gives a hidden state for every token of whole texts. Called on the executor's thread only. Owns its weights.
/// </summary>
internal interface IEncoderModel : IDisposable
{
    /// <summary>
    /// Texts of 1 to <see cref="EncoderConfig.MaxModelLength"/> tokens → their hidden states one after the other: [tokens, hidden], in the
    /// activation type. The caller's dispose scope owns it.
    /// </summary>
    Tensor Forward(IReadOnlyList<int[]> texts);
}
