using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>The experts of each token of a step.</summary>
/// <param name="Ids">[tokens, experts per token] int64, or int32 where the device that chose also sums (<see cref="IExpertOps.TrySum"/>).</param>
/// <param name="Weights">[tokens, experts per token] float32.</param>
internal readonly record struct ExpertChoices(Tensor Ids, Tensor Weights);

/// <summary>The matrices of one expert on one rank, without biases.</summary>
/// <param name="GateUp">[2 · width, hidden]: gate first.</param>
/// <param name="Down">[hidden, width].</param>
internal readonly record struct ExpertMatrices(IWeightMatrix GateUp, IWeightMatrix Down);

/// <summary>The experts of a layer that this rank has, by their numbers in the layer.</summary>
internal interface IExperts
{
    /// <summary>The first one's number.</summary>
    int First { get; }

    /// <summary>How many follow each other from there.</summary>
    int Count { get; }

    /// <summary>What one is made of; null: only <see cref="Forward"/> knows.</summary>
    ExpertMatrices? MatricesOf(int expert);

    /// <summary>down(silu(gate(x)) · up(x)) of one: [rows, hidden] → [rows, hidden].</summary>
    Tensor Forward(int expert, Tensor x);
}

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

    /// <summary>
    /// The sum of each token's experts of this rank, times their weights, in the order of their numbers and in float32: the sum of a token does not
    /// depend on what else is in the step.
    /// </summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="groups">The tokens of each expert.</param>
    /// <param name="weights">[tokens, experts per token] float32.</param>
    /// <param name="experts">Of this rank.</param>
    /// <returns>[tokens, hidden] float32.</returns>
    Tensor Sum(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts);

    /// <summary>The same by choices that stay on the device, so that the step can be recorded.</summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="choices">The experts of each token.</param>
    /// <param name="experts">Of this rank.</param>
    /// <returns>[tokens, hidden] float32; null: this device, or these experts, need the choices on the host.</returns>
    Tensor? TrySum(Tensor x, ExpertChoices choices, IExperts experts) => null;
}
