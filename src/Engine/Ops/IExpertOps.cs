using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>The experts of each token of a step.</summary>
/// <param name="Ids">[tokens, experts per token] int64.</param>
/// <param name="Weights">[tokens, experts per token] float32.</param>
internal readonly record struct ExpertChoices(Tensor Ids, Tensor Weights);

/// <summary>
/// What a device does for mixtures of experts. <see cref="TorchExpertOps"/> is the plain version. Results live as those of
/// <see cref="IDeviceOps"/>.
/// </summary>
internal interface IExpertOps
{
    /// <summary>Chooses the experts of each token (arXiv 2401.06066, 2405.04434, 2412.19437).</summary>
    /// <param name="logits">[tokens, experts] float32.</param>
    /// <param name="bias">[experts] float32, added to the scores to choose by; null: none.</param>
    /// <param name="routing">How.</param>
    ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing);
}
