using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>The experts of each token of a step.</summary>
/// <param name="Ids">
/// [tokens, experts per token] int64, or int32 where the device that chose the experts also sums them (<see cref="IExpertOps.TrySum"/>).
/// -1 in the rows that pad a recorded step.
/// </param>
/// <param name="Weights">[tokens, experts per token] float32.</param>
/// <param name="HasShared">
/// Whether each token's last entry is the shared expert, with a weight of 1. Its number follows that of the last routed expert
/// (<see cref="IExpertOps.JoinsShared"/>).
/// </param>
internal readonly record struct ExpertChoices(Tensor Ids, Tensor Weights, bool HasShared = false);

/// <summary>The matrices of one expert on one rank, without biases.</summary>
/// <param name="GateUp">[2 · width, hidden]: gate first.</param>
/// <param name="Down">[hidden, width].</param>
internal readonly record struct ExpertMatrices(IWeightMatrix GateUp, IWeightMatrix Down);

/// <summary>
/// The experts of a layer that this rank has, by their numbers in the layer. Where experts change ranks: by their places on this rank.
/// </summary>
internal interface IExperts
{
    /// <summary>Number of the first expert.</summary>
    int First { get; }

    /// <summary>Number of consecutive experts from <see cref="First"/> on.</summary>
    int Count { get; }

    /// <summary>
    /// Number of counters (<see cref="CountedExperts"/>): the layer's experts on all ranks or, where experts change ranks, the ranks.
    /// </summary>
    int Total => First + Count;

    /// <summary>Which rank computes which tokens of the experts that change ranks; null: experts stay where they are.</summary>
    ExpertShares? Shares => null;

    /// <summary>
    /// The matrices of the shared expert, split over the ranks as the routed experts are; null: there is no shared expert, or it is split
    /// otherwise.
    /// </summary>
    ExpertMatrices? Shared => null;

    /// <summary>How experts are chosen; null: in a way that every device has kernels for.</summary>
    ExpertRouting? Routing => null;

    /// <summary>The matrices of an expert; null: only <see cref="Forward"/> can compute it.</summary>
    ExpertMatrices? MatricesOf(int expert);

    /// <summary>down(silu(gate(x)) · up(x)) of one expert: [rows, hidden] → [rows, hidden].</summary>
    Tensor Forward(int expert, Tensor x);
}

/// <summary>Where the tokens of a layer's experts are counted.</summary>
/// <param name="Experts">The experts of this rank; null: no device counts their tokens.</param>
/// <param name="Tokens">[experts of the layer] tokens of each expert, whichever rank has it. Where experts change ranks: [ranks] tokens of
/// each rank.</param>
internal readonly record struct CountedExperts(IExperts? Experts, long[] Tokens);

/// <summary>
/// What a device does for mixtures of experts. <see cref="TorchExpertOps"/> is the plain version. Results live as long as those of
/// <see cref="IDeviceOps"/>.
/// </summary>
internal interface IExpertOps
{
    /// <summary>The router's product in float32, of 16-bit inputs: [tokens, hidden] → [tokens, experts] float32.</summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="weight">[experts, hidden] float32, without bias.</param>
    /// <returns>Null: the device has no kernel for it; the layer converts x and multiplies as by any matrix.</returns>
    Tensor? TryLogits(Tensor x, LinearWeight weight) => null;

    /// <summary>Chooses the experts of each token (arXiv 2401.06066, 2405.04434, 2412.19437).</summary>
    /// <param name="logits">[tokens, experts] float32.</param>
    /// <param name="bias">[experts] float32, added to the scores for the choice only; null: none.</param>
    /// <param name="routing">How experts are chosen.</param>
    /// <param name="joinsShared">Whether the shared expert is appended to each token's (<see cref="JoinsShared"/>).</param>
    ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing, bool joinsShared = false);

    /// <summary>
    /// The weighted sum of each token's experts on this rank, in float32 and in the order of their numbers: a token's sum does not depend
    /// on what else is in the step.
    /// </summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="groups">The tokens of each expert.</param>
    /// <param name="weights">[tokens, experts per token] float32.</param>
    /// <param name="experts">The experts of this rank.</param>
    /// <returns>[tokens, hidden] float32.</returns>
    Tensor Sum(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts);

    /// <summary>
    /// Whether <see cref="TrySum"/> sums these loaded experts without the host. Only then can the step be recorded
    /// (<see cref="IGraphCapture"/>).
    /// </summary>
    /// <param name="experts">The experts of this rank.</param>
    /// <param name="type">Type of the activations.</param>
    bool Takes(IExperts experts, ScalarType type) => false;

    /// <summary>
    /// Whether <see cref="TrySum"/> should compute the shared expert (<see cref="IExperts.Shared"/>) as one more expert of each token,
    /// because that is faster.
    /// </summary>
    /// <param name="experts">The loaded experts of this rank.</param>
    /// <param name="type">Type of the activations.</param>
    /// <param name="tokens">Number of tokens in the step.</param>
    bool JoinsShared(IExperts experts, ScalarType type, long tokens) => false;

    /// <summary>
    /// Normalises rows for the router and quantises them for these experts, in one pass. The next <see cref="TrySum"/> gets both results;
    /// nothing else may be quantised before it.
    /// </summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="weight">[hidden], of the RMSNorm.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="experts">The loaded experts of this rank.</param>
    /// <returns>Null: the experts do not read 8-bit floats, or <see cref="TrySum"/> itself quantises this many rows.</returns>
    NormalisedRows? TryNormalise(Tensor x, Tensor weight, float epsilon, IExperts experts) => null;

    /// <summary>
    /// The sum by choices that stay on the device: (Σ weight · expert, in the order of the choice) + shared + residual, in float32, rounded
    /// once. Counts the tokens of every expert (<see cref="ReadUsage"/>).
    /// </summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="choices">The experts of each token.</param>
    /// <param name="experts">The experts of this rank.</param>
    /// <param name="shared">[tokens, hidden] in x's type, the result of the shared experts; null: nothing to add.</param>
    /// <param name="residual">[tokens, hidden] in x's type, overwritten by the result; null: the result is a tensor of its own.</param>
    /// <param name="quantised">x as 8-bit floats, from <see cref="TryNormalise"/>; null: x is not quantised yet.</param>
    /// <returns>[tokens, hidden] in x's type; null: nothing was done, as this device or these experts need the choices on the
    /// host.</returns>
    Tensor? TrySum(
        Tensor x, ExpertChoices choices, IExperts experts, Tensor? shared = null, Tensor? residual = null,
        QuantisedRows? quantised = null) => null;

    /// <summary>Drops what the device knows about where experts lie: this rank has other experts now.</summary>
    void Forget(IExperts experts)
    {
        // Nothing is known.
    }

    /// <summary>
    /// Writes how many tokens each expert of some layers has had in <see cref="TrySum"/>. Covers steps that the device has completed; does
    /// not wait for those in flight. Leaves layers that the host counts unchanged.
    /// </summary>
    /// <param name="layers">Where to write.</param>
    void ReadUsage(IReadOnlyList<CountedExperts> layers)
    {
        // The host counts.
    }

    /// <summary>Resets the counters to zero, after the steps in flight.</summary>
    void ForgetUsage()
    {
        // The host counts.
    }
}
